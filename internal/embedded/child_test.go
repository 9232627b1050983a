package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary plays the processes of the tests when this variable is set.
const roleVariable = "PULSEBOARD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run()) //nolint:forbidigo // As TestMain must.
	case "polite":
		playChild()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		playChild()
	case "failing":
		fmt.Print("one\ntwo\r\nno line break")
		os.Exit(7) //nolint:forbidigo // It plays a program.
	case "parent":
		playParent()
	}
}

// playChild prints where it can be reached, so that a test sees when it is gone.
func playChild() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	for {
		if _, err := ln.Accept(); err != nil {
			panic(err)
		}
	}
}

func playParent() {
	started := make(chan *Child)
	go func() {
		// This thread ends with the goroutine: the child must not.
		runtime.LockOSThread()
		started <- startRole("polite", os.Stdout, time.Minute)
	}()
	<-(<-started).Done()
}

func startRole(role string, out io.Writer, grace time.Duration) *Child {
	p, err := StartChild(ChildConfig{
		Name: role, Path: os.Args[0], Env: append(os.Environ(), roleVariable+"="+role), Output: out, Grace: grace,
	})
	if err != nil {
		panic(err)
	}
	return p
}

// lineChan hands on the lines of a child.
type lineChan chan string

func (c lineChan) Write(b []byte) (int, error) {
	c <- string(b)
	return len(b), nil
}

// untilGone waits for the end of the process that listens on addr, to which c is a connection.
func untilGone(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // As net returns it.
		t.Error("the process is still there")
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimSpace(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestChildEndsWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child when its parent is killed")
	}
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), roleVariable+"=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr) // It lives, also after the thread that asked for it.
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // It was killed.
	untilGone(t, c)
}

func TestChildClose(t *testing.T) {
	for role, killed := range map[string]bool{"polite": false, "stubborn": true} {
		t.Run(role, func(t *testing.T) {
			lines := make(lineChan, 10)
			grace := time.Minute
			if killed {
				grace = 50 * time.Millisecond
			}
			p := startRole(role, lines, grace)
			c := dial(t, <-lines)
			if err := p.Close(); (err != nil) != killed {
				t.Errorf("Close: %v", err)
			}
			untilGone(t, c)
			if err := p.Close(); err != nil {
				t.Errorf("Close of one that has ended: %v", err)
			}
		})
	}
}

func TestChildThatFails(t *testing.T) {
	lines := make(lineChan, 10)
	p := startRole("failing", lines, 0)
	err := p.Err()
	if want := "failing ended: exit status 7; its last output:\none\ntwo\nno line break"; err.Error() != want {
		t.Errorf("Err is %q, want %q", err, want)
	}
	close(lines)
	var got []string
	for l := range lines {
		got = append(got, l)
	}
	if want := "[\"one\\n\" \"two\\n\" \"no line break\\n\"]"; fmt.Sprintf("%q", got) != want {
		t.Errorf("lines %q, want %s", got, want)
	}
	if _, err := StartChild(ChildConfig{Name: "nothing", Path: t.TempDir() + "/nothing"}); err == nil || !strings.Contains(err.Error(), "cannot start nothing") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func background(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// When memory is short the kernel ends the child, not this process.
func TestChildIsExpendable(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can be told whom to end first")
	}
	score := func(pid string) int {
		text, err := os.ReadFile("/proc/" + pid + "/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lines := make(lineChan, 10)
	p, err := StartChild(ChildConfig{Name: "polite", Path: os.Args[0], Env: append(os.Environ(), roleVariable+"=polite"), Output: lines, Expendable: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if own, child := score("self"), score(strconv.Itoa(p.Pid())); child != min(own+500, 1000) {
		t.Errorf("the score of this process is %d, that of its child %d", own, child)
	}
}
