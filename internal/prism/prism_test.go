package prism

import (
	"context"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"pulseboard/e2e/testenv"
)

func init() { register.Function1x1(double) } //nolint:gochecknoinits // As Beam wants it.

func double(n int) int { return 2 * n }

// A job runs, and no job makes this process listen.
func TestNothingListens(t *testing.T) {
	beam.Init()
	p, s := beam.NewPipelineWithRoot()
	passert.Equals(s, beam.ParDo(s, double, beam.CreateList(s, []int{1, 2})), 2, 4)
	if _, err := Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	// A job that is wrong ends with an error, and takes nothing with it.
	p, s = beam.NewPipelineWithRoot()
	passert.Equals(s, beam.ParDo(s, double, beam.CreateList(s, []int{1, 2})), 2, 5)
	if _, err := Execute(t.Context(), p); err == nil {
		t.Error("a job that fails has not failed")
	}
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked up in Linux' /proc")
	}
	all, err := testenv.Listeners(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		t.Errorf("listens: %s", l)
	}
}

// The pool knows its workers by id.
func TestPool(t *testing.T) {
	ended := make(chan string, 2)
	p := &pool{workers: map[string]context.CancelFunc{"a": func() { ended <- "a" }}}
	if a, err := p.StartWorker(t.Context(), &fnpb.StartWorkerRequest{WorkerId: "a"}); err != nil || a.GetError() == "" {
		t.Errorf("a second worker of the id: %v, %v", a, err)
	}
	if a, err := p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "b"}); err != nil || a.GetError() == "" {
		t.Errorf("a worker that is not there was stopped: %v, %v", a, err)
	}
	if a, err := p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "a"}); err != nil || a.GetError() != "" || <-ended != "a" {
		t.Errorf("a worker was not stopped: %v, %v", a, err)
	}
}

// server is how jobservices.Server begins in the Beam of go.mod.
func TestServerIsThatOfBeam(t *testing.T) {
	if core.SdkVersion != beamVersion {
		t.Errorf("this package is made for Beam %s, and go.mod has %s: compare, run this test, and change beamVersion", beamVersion, core.SdkVersion)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/apache/beam/sdks/v2").Output()
	if err != nil {
		t.Fatalf("cannot find the source of Beam: %v", err)
	}
	theirs := fields(t, filepath.Join(strings.TrimSpace(string(out)), "go/pkg/beam/runners/prism/internal/jobservices/server.go"), "Server")
	ours := fields(t, "prism.go", "server")
	if len(theirs) < len(ours) || !slices.Equal(theirs[:len(ours)], ours) {
		t.Errorf("jobservices.Server begins with %q, and server has %q", theirs, ours)
	}
}

// fields returns those of a struct, name and type.
func fields(t *testing.T, file, name string) (out []string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			var b strings.Builder
			for _, n := range field.Names {
				b.WriteString(n.Name + " ")
			}
			if err := format.Node(&b, set, field.Type); err != nil {
				t.Fatal(err)
			}
			out = append(out, b.String())
		}
		return false
	})
	return out
}
