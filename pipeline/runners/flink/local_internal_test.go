package flink

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/transforms"
)

// Of a checkpoint that cannot be read, what the job made of it cannot either: the next start takes an older one.
func TestACheckpointIsSetAsideWithThoseAfterIt(t *testing.T) {
	dir := t.TempDir()
	uri := make(map[string]string)
	for i, name := range []string{"older/chk-3", "older/chk-4", "newer/chk-5", "newer/chk-6"} {
		path := filepath.Join(dir, "checkpoints", name)
		if err := os.MkdirAll(path, 0o750); err != nil {
			t.Fatal(err)
		}
		metadata := filepath.Join(path, "_metadata")
		if err := os.WriteFile(metadata, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(metadata, time.Time{}, time.Unix(int64(i+1), 0)); err != nil {
			t.Fatal(err)
		}
		uri[name] = "file://" + path
	}
	l := &Local{config: Config{Config: pipeline.Config{Log: slog.New(slog.DiscardHandler)}}, local: JavaConfig{Dir: dir, From: uri["older/chk-4"]}}
	l.setAside("what Flink says")
	if got, err := flinkapi.Newest(dir); err != nil || got != uri["older/chk-3"] {
		t.Errorf("the newest is %q, %v; want %q", got, err, uri["older/chk-3"])
	}
}

func TestStateIsUnreadable(t *testing.T) {
	failure := "java.lang.RuntimeException: bundle failed\n\tat a.b.C\nDoFn failed:\n" + transforms.ErrState.Error() + ": it is not of version 9"
	if !stateIsUnreadable(failure) || stateIsUnreadable("java.lang.RuntimeException: bundle failed") {
		t.Error("it is not seen by what Flink says")
	}
}
