package etcdembed_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
	"github.com/seed-2ba35074/trellis/registry/etcdembed"
)

// The test's program is its own server and its own holder of names: this says which.
const role = "TRELLIS_REGISTRY_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server":
		serve(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	case "holder":
		holder(os.Args[1], os.Args[2], os.Args[3])
	}
}

// child is a process of this program, which ends with its standard input, and with its parent.
type child struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	killed bool
}

func start(t testing.TB, as string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), role+"="+as)
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// line is the next line that the child prints.
func (c *child) line() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("the child %v has ended: %v", c.cmd.Args[1:], c.out.Err())
	}
	return c.out.Text()
}

// ask sends a line, and returns the answer.
func (c *child) ask(text string) string {
	c.t.Helper()
	c.tell(text)
	return c.line()
}

func (c *child) tell(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// freeze stops the child, and waits until all of its threads stand still: the signal is only on its way before that.
func (c *child) freeze() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	for running := true; running; {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
		if err != nil || len(files) == 0 {
			c.t.Fatal(files, err)
		}
		running = slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			if err != nil {
				c.t.Fatal(err)
			}
			_, state, _ := strings.Cut(string(text), ") ") // behind the name of the program
			return !strings.HasPrefix(state, "T")
		})
	}
}

// kill ends the child with SIGKILL, and reaps it.
func (c *child) kill() {
	if c.killed {
		return
	}
	c.killed = true
	_ = c.cmd.Process.Kill() // it may have ended by itself
	_ = c.cmd.Wait()         // which says that it was killed
}

// server is a server of etcd in a child, which can be started again with its data, at its address.
type server struct {
	*child
	t                         testing.TB
	name, dir, address, peers string
}

func newServer(t *testing.T) *server {
	s := &server{t: t, name: "registry", dir: t.TempDir(), address: free()}
	s.start()
	s.ready()
	return s
}

// ports has the last one that free has given.
var ports atomic.Int32

// free is an address that nobody but this process and its children listens at, or connects from.
func free() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+pid>>16&127, pid>>8&255, pid&255, 7077+ports.Add(1))
}

func (s *server) start() { s.child = start(s.t, "server", s.name, s.dir, s.address, s.peers) }

func (s *server) ready() { s.line() }

func (s *server) silence(t *testing.T, silent bool) {
	t.Helper()
	if silent {
		s.freeze()
	} else {
		s.signal(syscall.SIGCONT)
	}
}

// open is a client of the server.
func (s *server) open(t *testing.T, ttl time.Duration) fleet.Registry {
	t.Helper()
	return open(t, ttl, s.address)
}

func open(t *testing.T, ttl time.Duration, endpoints ...string) fleet.Registry {
	t.Helper()
	r, err := etcd.Open(t.Context(), fleet.Settings{Endpoints: endpoints, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve is what a server does, in a child.
func serve(name, dir, address, peers string) {
	s := fleet.Settings{Name: name, Dir: dir, Listen: address, Peers: map[string]string{}}
	for p := range strings.FieldsSeq(peers) {
		name, peer, _ := strings.Cut(p, "=")
		s.Peers[name] = peer
	}
	server, err := etcdembed.Start(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		if err := server.Ready(context.Background()); err == nil {
			fmt.Println("ready")
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	os.Exit(0)
}
