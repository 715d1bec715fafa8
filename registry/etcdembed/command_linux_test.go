package etcdembed_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// root is the command host, as a root of a tree, in a process of its own.
type root struct {
	*exec.Cmd
	said *said
	done chan struct{} // closed when it has been reaped
}

func (r *root) kill() {
	_ = r.Process.Kill() // it may have ended by itself
	<-r.done
}

// said is what a program prints. Whoever waits for a text is woken by each line.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
	over bool // the program has ended
}

func (s *said) wake(over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = over
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
}

func (s *said) Write(p []byte) (int, error) {
	defer s.wake(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// await returns when a text was printed, or when the program has ended.
func (s *said) await(t *testing.T, text string) string {
	t.Helper()
	for {
		s.mu.Lock()
		all := s.text.String()
		if s.more == nil {
			s.more = make(chan struct{})
		}
		more, over := s.more, s.over
		s.mu.Unlock()
		switch {
		case strings.Contains(all, text):
			return all
		case over:
			t.Fatalf("%q was not printed:\n%s", text, all)
		}
		<-more
	}
}

// programs builds the command with the drivers, and a plugin.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "r") // short, as paths of sockets have to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/host", "github.com/seed-2ba35074/trellis/plugins/walker")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func serveTree(t *testing.T, dir, host, address string) *root {
	t.Helper()
	config := fmt.Sprintf("name: census\nfleet: {host: %s, registry: {driver: etcd, endpoints: [%q]}}\nactors: [{name: walker, command: [%q]}]\n", host, address, filepath.Join(dir, "walker"))
	file := filepath.Join(dir, host+".yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &root{exec.Command(filepath.Join(dir, "host"), "serve", "-c", file, "--log-format", "logfmt", "--at", filepath.Join(dir, host+".socket")), &said{}, make(chan struct{})}
	r.Stderr, r.Env = r.said, append(os.Environ(), "TMPDIR="+dir)
	r.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.Wait() // its exit code is looked at
		r.said.wake(true)
		close(r.done)
	}()
	t.Cleanup(r.kill)
	return r
}

// Of two roots of a tree the second waits. It begins when the first was killed, and ends when the registry is away for too long.
func TestTwoRootsOfATree(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := programs(t)
	a := serveTree(t, dir, "a", s.address)
	a.said.await(t, "serving")
	b := serveTree(t, dir, "b", s.address)
	b.said.await(t, "another root has the tree")
	list := exec.Command(filepath.Join(dir, "host"), "hosts", "-c", filepath.Join(dir, "a.yaml"), "-o", "json")
	out, err := list.Output()
	var shown struct {
		Hosts []struct {
			Name  string
			Holds []struct{ Name string }
		}
	}
	if err = errors.Join(err, json.Unmarshal(out, &shown)); err != nil || len(shown.Hosts) != 2 || shown.Hosts[0].Name != "a:census" || len(shown.Hosts[0].Holds) != 1 || shown.Hosts[0].Holds[0].Name != "tree/census" || len(shown.Hosts[1].Holds) != 0 {
		t.Errorf("host hosts: %v\n%s", err, out)
	}
	a.kill()
	b.said.await(t, "serving")
	s.freeze()
	<-b.done
	if code := b.ProcessState.ExitCode(); code != 1 {
		t.Errorf("the second root has ended with exit code %d", code)
	}
	if text := b.said.await(t, "is not a member of the registry any more"); !strings.Contains(text, s.address) {
		t.Errorf("it does not say which registry:\n%s", text)
	}
}
