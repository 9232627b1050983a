package command_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pulseboard/cmd/pipeline/command"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

// A runner is chosen by flag or environment, wherever the flag stands; flags of another runner are refused, in the
// environment they may stand.
func TestChoosesTheRunner(t *testing.T) {
	for _, c := range []struct {
		args, env, want string
	}{
		{args: "--runner spark", want: `--runner is "spark": it must be prism, flink or direct`},
		{args: "--slice 3s", want: "--slice is 3s"},
		{args: "--slice 3s --runner flink", want: "--slice is 3s"},
		{args: "--runner flink --parallelism 0", want: "--parallelism is 0"},
		{args: "--parallelism 129 --runner=flink", want: "it must be 1 to the number of key groups, 128"},
		{args: "--parallelism 17 --key-groups 16", env: "flink", want: "it must be 1 to the number of key groups, 16"},
		{args: "submit --parallelism 0", want: "--parallelism is 0"},
		{args: "submit --runner prism", want: `--runner is "prism": it must be flink`},
		{args: "submit --metrics-addr 127.0.0.1:0", want: "not defined: -metrics-addr"},
		{args: "--parallelism 2", want: "--parallelism is not for --runner prism"},
		{args: "--runner flink --metrics-addr 127.0.0.1:0", want: "--metrics-addr is not for --runner flink"},
		{args: "--runner flink --print --keep", want: "--print and --keep exclude each other"},
		{args: "--runner flink --reference", want: "--reference does not run on flink"},
		{args: "--runner direct", want: "add --reference"},
		{args: "--reference --runner direct --output csv", want: "--output is"},
		{args: "--reference --runner direct --refresh 0s", want: "--refresh is 0s"},
		{args: "nothing", want: `unexpected argument "nothing"`},
	} {
		getenv := func(name string) string {
			return map[string]string{"PULSEBOARD_RUNNER": c.env, "PULSEBOARD_SHARDS": "2"}[name]
		}
		env := service.Env{Args: strings.Fields(c.args), Getenv: getenv, Stdout: io.Discard, Stderr: io.Discard}
		if err := command.Main(t.Context(), env); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}

// --help lists what each runner has; of a command for one runner, that alone.
func TestHelpIsByRunner(t *testing.T) {
	for args, want := range map[string][]string{
		"--help":        {"--kafka ", "With --runner prism", "--metrics-addr ", "With --runner flink", "--job-endpoint ", "With --reference", "--query "},
		"submit --help": {"--kafka ", "With --runner flink", "--job-endpoint "},
	} {
		var out bytes.Buffer
		env := service.Env{Args: strings.Fields(args), Getenv: func(string) string { return "" }, Stdout: &out, Stderr: io.Discard}
		if err := command.Main(t.Context(), env); !errors.Is(err, conf.ErrHelp) {
			t.Fatal(err)
		}
		rest := out.String()
		for _, text := range want {
			_, after, found := strings.Cut(rest, text)
			if !found {
				t.Errorf("%s: %q is not where it should be", args, text)
			}
			rest = after
		}
		for _, other := range []string{"\n  --metrics-addr ", "\n  --query "} {
			if args == "submit --help" && strings.Contains(out.String(), other) {
				t.Errorf("%s lists the flag %s", args, strings.TrimSpace(other))
			}
		}
	}
}
