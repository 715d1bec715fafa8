//go:build lab

package machines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/netns"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// enough is how long a test waits for what must happen: far longer than any bound, since the machine may be busy.
const enough = 2 * time.Minute

// world is a tree whose root is on machine a, and whose actors run on the others.
type world struct {
	*netns.Net
	t        *testing.T
	machines []string
	binary   string
	root     string // the machine of the root
	folder   string
	procs    map[string]*proc
}

// proc is a program that the test has started on a machine.
type proc struct {
	cmd    *exec.Cmd
	output lockedBuffer
	errors lockedBuffer
	ended  chan struct{}
}

// lockedBuffer takes what two streams of a program print.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// The command, and the one with a registry in it: each is built once.
var (
	binary     = sync.OnceValues(func() (string, error) { return build(".") })
	etcdBinary = sync.OnceValues(func() (string, error) { return build("registry/etcdembed") })
)

// programs is a folder for what is built, which TestMain makes and removes.
var programs string

// build builds the command of a module of this repository.
func build(module string) (string, error) {
	path := filepath.Join(programs, "host-"+filepath.Base(module))
	cmd := exec.Command("go", "build", "-o", path, "./cmd/host")
	cmd.Dir = filepath.Join("..", "..", "..", module)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

// newFleet has machine a, for a root, and others for agents, each with its certificate. Nothing runs on them yet.
func newFleet(t *testing.T, agents ...string) *world {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"a"}, agents...)
	w := &world{Net: netns.New(t, all...), t: t, machines: all, root: "a", binary: path, folder: t.TempDir(), procs: map[string]*proc{}}
	w.run("ca", "init", w.path("ca"))
	for _, machine := range all {
		w.run("ca", "issue", "--ca", w.path("ca"), "-o", w.path(machine), machine)
	}
	return w
}

// newWorld has a root on machine a, and agents on others, each of which takes one actor. Of the actor called holder there are
// some replicas; if there is one, it must be the only one at all times. The end of the test ends all, and looks that nothing
// is left, and that no holder has met another one.
func newWorld(t *testing.T, replicas int, agents ...string) *world {
	t.Helper()
	w := newFleet(t, agents...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ledger := ""
	if replicas == 1 {
		ledger = w.path("ledger")
	}
	w.writeTree("supervision: {max_restarts: 100}", replicas, self, ledger)
	t.Cleanup(w.end)
	w.startRoot()
	for _, machine := range agents {
		w.startAgent(machine)
	}
	return w
}

// writeTree writes the config of a root that has the holder as its actor.
func (w *world) writeTree(settings string, replicas int, self, ledger string) {
	w.t.Helper()
	w.write("tree.yaml", fmt.Sprintf(`
name: root
fleet: {credentials: %q, listen: "%s:7077", lease: 3s}
%s
actors:
  - name: holder
    command: [%q]
    env: {%s: holder, %s: %q, %s: %q}
    restart: permanent
    start_timeout: 1m
    on: {labels: {kind: worker}}
    callers: [joined]
    replicas: %d
`, w.path("a"), w.Address("a"), settings, self, roleVar, ledgerVar, ledger, crimesVar, w.path("crimes"), replicas))
}

// socket is where the root serves programs on this machine: in a folder that only this user can get into.
func (w *world) socket() string { return filepath.Join(w.Folder(w.root), "socket") }

func (w *world) path(name string) string { return filepath.Join(w.folder, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(args ...string) {
	w.t.Helper()
	if out, err := exec.Command(w.binary, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("host %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (w *world) startRoot() {
	w.start("a", "serve", "-c", w.path("tree.yaml"), "--at", w.socket())
}

func (w *world) startAgent(machine string) { w.startAgentFor(machine, 1) }

// startAgentFor starts one that takes some actors at once.
func (w *world) startAgentFor(machine string, actors int) {
	w.start(machine, "agent", "--join", "tls://"+w.Address("a")+":7077", "--credentials", w.path(machine), "--label", "kind=worker", "--capacity", strconv.Itoa(actors), "--accept-programs")
}

func (w *world) start(machine string, args ...string) {
	w.t.Helper()
	w.startProgram(machine, w.binary, args...)
}

func (w *world) startProgram(machine, program string, args ...string) {
	w.t.Helper()
	p := &proc{cmd: w.Command(machine, program, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.errors
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // tests end programs in every way
		close(p.ended)
	}()
	w.procs[machine] = p
}

func (w *world) signal(machine string, s syscall.Signal) {
	w.t.Helper()
	if err := w.procs[machine].cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// kill kills the program of a machine, and nothing else.
func (w *world) kill(machine string) {
	w.t.Helper()
	w.signal(machine, syscall.SIGKILL)
	<-w.procs[machine].ended
}

// machineOf is the machine on which the holder is that has answered.
func (w *world) machineOf(h who) string {
	for _, m := range w.machines {
		if h.Machine == w.Folder(m) {
			return m
		}
	}
	w.t.Fatalf("the holder is nowhere: %+v", h)
	return ""
}

// joined runs body in a program that has joined the tree, again until it has had its say: the root may be stopped or dead.
func (w *world) joined(body func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	for {
		err := host.Join(ctx, w.socket(), host.JoinOptions{Name: "test"}, body)
		if err == nil || !errors.Is(err, host.ErrNoHost) || ctx.Err() != nil {
			return err
		}
		<-time.After(10 * time.Millisecond) // until the root serves
	}
}

// holder is the one that answers, if need be after a while.
func (w *world) holder() (h who) {
	w.t.Helper()
	err := w.joined(func(ctx context.Context) (err error) {
		for {
			p, err := directory.WaitFor(ctx, "holder")
			if err != nil {
				return err
			}
			if h, err = where.Call(ctx, p, struct{}{}); err == nil || ctx.Err() != nil {
				return err
			}
		}
	})
	if err != nil {
		w.t.Fatalf("no holder answers: %v\n%s", err, w.outputs())
	}
	return h
}

func (w *world) outputs() string {
	var b strings.Builder
	for machine, p := range w.procs {
		fmt.Fprintf(&b, "--- %s:\n%s%s", machine, &p.output, &p.errors)
	}
	return b.String()
}

// end ends all programs in order, and looks.
func (w *world) end() {
	for machine, p := range w.procs {
		select {
		case <-p.ended:
		default:
			w.signal(machine, syscall.SIGCONT)
			w.signal(machine, syscall.SIGTERM)
		}
	}
	for machine, p := range w.procs {
		select {
		case <-p.ended:
		case <-time.After(enough):
			w.t.Errorf("the program on %s does not end", machine)
			w.kill(machine)
		}
	}
	for _, machine := range w.machines {
		w.empty(machine)
	}
	if text, err := os.ReadFile(w.path("crimes")); err == nil || !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("there were two holders at once: %s %v", text, err)
	}
	if w.t.Failed() {
		w.t.Log(w.outputs())
	}
}

// empty waits until nothing runs on a machine.
func (w *world) empty(machine string) {
	w.t.Helper()
	w.until("nothing is left on "+machine, func() bool { return len(w.Processes(machine)) == 0 })
}

// until waits for something that tells nobody when it happens.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(enough); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Errorf("it is not so that %s\n%s", what, w.outputs())
			return
		}
	}
}
