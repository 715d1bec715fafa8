package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// roleVar makes the test binary a child: its arguments are then a little
// program, one word after another (see act).
const roleVar = "PROCESS_TEST_CHILD"

// patience is how long a test waits for what must come, before it says that it did not. It
// only makes a failure of a hang: no machine is so slow that it matters otherwise.
const patience = 5 * time.Minute

const goodHandshake = "1|1|unix|/tmp/none|grpc"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) != "" {
		for _, word := range os.Args[1:] {
			verb, arg, _ := strings.Cut(word, ":")
			act(verb, arg)
		}
		os.Exit(0)
	}
	// What lives as long as the program is there before anything is counted.
	p := New(child0("exit:0"), nil)
	_ = p.Start(context.Background())
	<-p.Done()
	os.Exit(m.Run())
}

// act does one word of a child's program.
func act(verb, arg string) {
	switch verb {
	case "hold":
		if err := HoldLifeline(); err != nil {
			fmt.Fprintln(os.Stderr, "hold:", err)
		}
	case "holdelsewhere":
		errs := make(chan error)
		go func() { errs <- HoldLifeline() }()
		fmt.Fprintln(os.Stderr, "hold:", <-errs)
	case "ignore":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	case "fork":
		cmd := exec.Command("sleep", "1000")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: arg == "setsid"}
		must(cmd.Start())
		fmt.Fprintf(os.Stderr, "pid %d\n", cmd.Process.Pid)
	case "pid":
		fmt.Fprintf(os.Stderr, "pid %d\n", os.Getpid())
	case "handshake":
		fmt.Println(goodHandshake)
	case "out":
		unquoteTo(os.Stdout, arg)
	case "err":
		unquoteTo(os.Stderr, arg)
	case "flood", "flooderr":
		n, err := strconv.Atoi(arg)
		must(err)
		flood(map[string]*os.File{"flood": os.Stdout, "flooderr": os.Stderr}[verb], n)
	case "exit":
		n, err := strconv.Atoi(arg)
		must(err)
		os.Exit(n)
	case "kill":
		must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	case "stop":
		must(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
	case "stopgroup":
		must(syscall.Kill(0, syscall.SIGSTOP))
	case "panic":
		for range 10 {
			go func() { select {} }()
		}
		panic("something broke")
	case "block":
		<-time.After(time.Hour)
	default:
		if !actMore(verb, arg) {
			panic("unknown word " + verb)
		}
	}
}

// actMore does the words of tests that bring a role of their own.
func actMore(verb, arg string) bool {
	act, ok := roles[verb]
	if ok {
		act(arg)
	}
	return ok
}

// roles has the roles that role adds, by their word.
var roles = map[string]func(arg string){}

// role adds a role of the test binary. It is for the files that need one.
func role(verb string, act func(arg string)) {
	if _, ok := roles[verb]; ok {
		panic("two roles are called " + verb)
	}
	roles[verb] = act
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func unquoteTo(f *os.File, quoted string) {
	text, err := strconv.Unquote(`"` + quoted + `"`)
	must(err)
	_, err = f.WriteString(text)
	must(err)
}

func flood(f *os.File, n int) {
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
	for n > 0 {
		m, err := f.Write(chunk[:min(n, len(chunk))])
		must(err)
		n -= m
	}
}

// child0 is a Spec for this binary as a child that does the words.
func child0(words ...string) Spec {
	self, err := os.Executable()
	must(err)
	return Spec{Path: self, Args: words, Env: append(environ.Base(), roleVar+"=1", "GORACE=atexit_sleep_ms=0")}
}

// lines gathers what a child says.
type lines struct {
	mu  sync.Mutex
	all []Line
	ch  chan string
}

func (l *lines) log(line Line) {
	l.mu.Lock()
	l.all = append(l.all, line)
	l.mu.Unlock()
	select {
	case l.ch <- string(line.Text):
	default:
	}
}

// text is everything said on one stream, cut lines joined.
func (l *lines) text(stream Stream) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.all {
		if line.Stream == stream {
			b.Write(line.Text)
			if !line.Part.GoesOn() {
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// expect waits for a line with a prefix and returns what follows it.
func (l *lines) expect(t *testing.T, prefix string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line := <-l.ch:
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest
			}
		case <-deadline:
			t.Fatalf("no line %q came", prefix)
		}
	}
}

func (l *lines) expectPID(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(l.expect(t, "pid "))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// start runs a child and checks at the end of the test that it left nothing.
func start(t *testing.T, words ...string) (*Process, *lines) {
	t.Helper()
	return startSpec(t, child0(words...))
}

func startSpec(t *testing.T, spec Spec) (*Process, *lines) {
	t.Helper()
	leaves(t)
	return launch(t, spec)
}

func launch(t *testing.T, spec Spec) (*Process, *lines) {
	t.Helper()
	l := &lines{ch: make(chan string, 10000)}
	if spec.Log == nil {
		spec.Log = l.log
	}
	p := New(spec, nil)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(context.Background()); err != nil {
			t.Error(err)
		}
		<-p.Flushed()
	})
	return p, l
}

// ended waits for the end.
func ended(t *testing.T, p *Process) Exit {
	t.Helper()
	late := time.After(patience)
	select {
	case <-p.Dead():
	case <-late:
		t.Fatal("the process does not end")
	}
	exit, ok := p.Exit()
	if !ok {
		t.Fatalf("state %v after Dead", p.State())
	}
	select {
	case <-p.Done():
	case <-late:
		t.Fatal("the process leaves something that does not end")
	}
	<-p.Flushed()
	return exit
}

// leaves checks at the end of the test that as many descriptors, goroutines
// and children are there as now. A goroutine that has closed its channel may
// need a moment to be gone.
func leaves(t *testing.T) {
	t.Helper()
	fds, routines := openFiles(), runtime.NumGoroutine()
	t.Cleanup(func() {
		if got := openFiles(); got != fds {
			t.Errorf("%d descriptors, before %d", got, fds)
		}
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine() > routines {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), routines, buf[:runtime.Stack(buf, true)])
			}
			runtime.Gosched()
		}
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
			t.Errorf("there are children left: %d, %v", pid, err)
		}
	})
}

// openFiles counts this process's descriptors.
func openFiles() int {
	n := 0
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// scan sends a reader's lines to a channel and closes it at the end.
func scan(f *os.File) <-chan string {
	ch := make(chan string, 100)
	go func() {
		defer close(ch)
		for s := bufio.NewScanner(f); s.Scan(); {
			ch <- s.Text()
		}
	}()
	return ch
}
