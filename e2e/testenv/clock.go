package testenv

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clockVariable names the file of a Clock to a program that ClockProgram has built.
const clockVariable = "CLOCK_OF_TESTS"

// Clock is the wall clock of programs that ClockProgram has built: that of this machine and what
// a test adds. Their monotonic clock stays that of the machine, as when a machine sleeps.
type Clock struct {
	t    *testing.T
	file *os.File
	by   atomic.Int64
}

// NewClock returns one that is right.
func NewClock(t *testing.T) *Clock {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "clock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	c := &Clock{t: t, file: file}
	c.Set(0)
	return c
}

// Set makes the clock be ahead of the machine's by so much, at once.
func (c *Clock) Set(by time.Duration) {
	c.t.Helper()
	if _, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by)), 0); err != nil {
		c.t.Fatal(err)
	}
	c.by.Store(int64(by))
}

// Now is what the programs see.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// Env is the variable that gives a program this clock.
func (c *Clock) Env() string { return clockVariable + "=" + c.file.Name() }

var (
	importsOfTime = regexp.MustCompile(`import \(\n`)
	bodyOfNow     = regexp.MustCompile(`(func Now\(\) Time \{\n(?:[^}]*\n)?\tsec, nsec, mono := \w+\(\)\n)`)
)

const clockOfTests = `
// ofTests is what a test adds to the wall clock, in a file that it shares.
var ofTests = func() *int64 {
	name, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("cannot open the clock of the tests: " + err.Error())
	}
	shared, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("cannot read the clock of the tests: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&shared[0]))
}()

func withTests(sec int64, nsec int32) (int64, int32) {
	if ofTests == nil {
		return sec, nsec
	}
	by := atomic.LoadInt64(ofTests)
	sec, n := sec+by/1e9, int64(nsec)+by%1e9
	switch {
	case n < 0:
		sec, n = sec-1, n+1e9
	case n >= 1e9:
		sec, n = sec+1, n-1e9
	}
	return sec, int32(n)
}
`

// ClockProgram builds a program of ours with a package time that reads a Clock: Go's own,
// with one line more in Now, laid over it for this build. That builds the standard
// library again, once, which takes a minute or two.
func ClockProgram(t *testing.T, program string) (path string) {
	t.Helper()
	dir := filepath.Join(folder(), "clock") // The same each time, or everything would be built again.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	// By another name: nothing may be laid over what lies among modules, as a toolchain does that was fetched.
	goroot := filepath.Join(dir, "goroot")
	_ = os.Remove(goroot) // It may be of an older Go.
	if err := os.Symlink(strings.TrimSpace(string(found)), goroot); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOROOT", goroot)
	t.Setenv("GOTOOLCHAIN", "local")
	t.Setenv("PATH", filepath.Join(goroot, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	original := filepath.Join(goroot, "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if !bodyOfNow.Match(source) || !importsOfTime.Match(source) {
		t.Fatalf("time.Now in %s is not as this test knows it", original)
	}
	changed := bodyOfNow.ReplaceAllString(string(source), "${1}\tsec, nsec = withTests(sec, nsec)\n")
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"sync/atomic\"\n\t\"syscall\"\n\t\"unsafe\"\n", 1)
	changed = strings.Replace(changed, "\t_ \"unsafe\" // for go:linkname\n", "", 1)
	replaced := filepath.Join(dir, "time.go")
	write(t, replaced, changed+clockOfTests)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: replaced}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), string(overlay))
	return Build(t, program, "-overlay", filepath.Join(dir, "overlay.json"))
}
