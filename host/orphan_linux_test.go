package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// roundsVar is how often the tests of this file kill a tree: twice by default. make soak sets it.
const roundsVar = "TRELLIS_ROUNDS"

func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv(roundsVar)
	if text == "" {
		return 2
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: expected a number above zero, got %q", roundsVar, text)
	}
	return n
}

// unruly makes an actor what its owner must not rely on it to be.
var unruly = contract.Func[[]string, none]("unruly")

func init() {
	role("unruly", func() {
		sdk.Plugin{Endpoints: append(goodEndpoints(), unruly.Handle(beUnruly)), Hosts: hostUnruly}.Serve()
	})
	role("unruly root", func() {
		err := host.OpenTree(context.Background(), host.Options{Name: "root"}, unrulyTree(), func(ctx context.Context, tree *host.Tree) error {
			if err := spoil(ctx, tree, unrulyTree()); err != nil {
				return err
			}
			fmt.Println("up")
			<-ctx.Done()
			return context.Cause(ctx)
		})
		fmt.Println("ended:", err)
		os.Exit(1)
	})
	role("ordinary root", func() {
		tree := unrulyTree()[:1]
		tree[0].Actors = nil
		err := host.OpenTree(context.Background(), host.Options{}, tree, func(context.Context, *host.Tree) error { return nil })
		fmt.Println("ended:", err)
	})
}

// unrulyTree has 15 actors in three levels: 3, 6 and 6.
func unrulyTree() []host.Spec {
	made := 0
	var grow func(names string, below ...string) []host.Spec
	grow = func(names string, below ...string) (specs []host.Spec) {
		for _, name := range names {
			made++
			s := host.Spec{Name: string(name), Command: []string{"/proc/self/exe"}, Env: map[string]string{
				roleVar: "unruly", "GORACE": "atexit_sleep_ms=0", "HABITS": habits(made),
			}}
			if len(below) > 0 {
				s.Actors = grow(below[0], below[1:]...)
			}
			specs = append(specs, s)
		}
		return specs
	}
	return grow("abc", "xy", "z")
}

// habits differ from actor to actor: deaf, with children of its own, both, none.
func habits(i int) string {
	return []string{"deaf", "deaf fork", "fork", "deaf fork flee", ""}[i%5]
}

func beUnruly(_ context.Context, habits []string) (none, error) {
	for _, habit := range habits {
		cmd := exec.Command("sleep", "1000")
		switch habit {
		case "deaf":
			signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
			continue
		case "fork":
		case "flee":
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		}
		if err := cmd.Start(); err != nil {
			return none{}, err
		}
	}
	return none{}, nil
}

// hostUnruly hosts a subtree, each actor of which is as its habits say when this
// one is ready.
func hostUnruly(ctx context.Context, tree []byte, serve func(context.Context) error) error {
	var part config.Tree
	if err := json.Unmarshal(tree, &part); err != nil {
		return err
	}
	return host.Subtree(ctx, tree, func(ctx context.Context) error {
		if err := spoil(ctx, host.FromContext(ctx), part.Actors); err != nil {
			return err
		}
		return serve(ctx)
	})
}

func spoil(ctx context.Context, tree *host.Tree, specs []host.Spec) error {
	for _, s := range specs {
		p, err := tree.Portal(s.Name)
		if err == nil {
			_, err = unruly.Call(ctx, p, strings.Fields(s.Env["HABITS"]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one is a process that cannot be taken for a later one with the same number.
type one struct {
	pid   int
	start string // when it started, in the kernel's ticks
	args  string
}

// stat are the fields of /proc/PID/stat from the state on; nil if it is gone.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

func look(pid int) (one, bool) {
	fields := stat(pid)
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if len(fields) < 20 || err != nil {
		return one{}, false
	}
	return one{pid, fields[19], strings.ReplaceAll(string(args), "\x00", " ")}, true
}

// alive is whether it is there and more than a zombie.
func (o one) alive() bool {
	fields := stat(o.pid)
	return len(fields) >= 20 && fields[19] == o.start && fields[0] != "Z" && fields[0] != "X"
}

// offspring are the processes below one, itself excluded.
func offspring(pid int) (all []one) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		kids, _ := os.ReadFile(task) // a thread may have ended
		for field := range strings.FieldsSeq(string(kids)) {
			kid, err := strconv.Atoi(field)
			if o, ok := look(kid); err == nil && ok {
				all = append(append(all, o), offspring(kid)...)
			}
		}
	}
	return all
}

func isActor(o one) bool { return strings.HasPrefix(o.args, "trellis[") }

func hasFled(o one) bool {
	fields := stat(o.pid)
	return !isActor(o) && len(fields) > 3 && fields[3] == strconv.Itoa(o.pid) // leads a session
}

// forest is a running tree.
type forest struct {
	root   *exec.Cmd
	said   *bufio.Scanner
	actors []one
	others []one // started by actors, in their groups
	fled   []one // started by actors, and out of their groups
}

// plant starts the tree.
func plant(t *testing.T) *forest {
	t.Helper()
	f := &forest{}
	var out io.Reader
	f.root, out = program(t, "unruly root")
	f.said = bufio.NewScanner(out)
	if !f.said.Scan() || f.said.Text() != "up" {
		t.Fatalf("the tree is not up: %q", f.said.Text())
	}
	for _, o := range offspring(f.root.Process.Pid) {
		switch {
		case isActor(o):
			f.actors = append(f.actors, o)
		case hasFled(o):
			f.fled = append(f.fled, o)
		default:
			f.others = append(f.others, o)
		}
	}
	if len(f.actors) != 15 || len(f.others) != 9 || len(f.fled) != 3 {
		t.Fatalf("%d actors, %d other processes, %d fled; want 15, 9, 3", len(f.actors), len(f.others), len(f.fled))
	}
	return f
}

// program starts this test binary in a role.
func program(t *testing.T, role string) (*exec.Cmd, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(environ.Base(), roleVar+"="+role, "GORACE=atexit_sleep_ms=0", "TRELLIS_CGROUP="+os.Getenv("TRELLIS_CGROUP"))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, out
}

// stop stops every third of some actors alone, and every fifth with its group.
func stop(t *testing.T, actors []one, offset int) {
	t.Helper()
	for i, o := range actors {
		target := o.pid
		switch {
		case (i+offset)%3 == 0:
		case (i+offset)%5 == 0:
			target = -o.pid
		default:
			continue
		}
		if err := syscall.Kill(target, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := awaitStopped(t.Context(), o.pid); err != nil {
			t.Fatal(err)
		}
	}
}

// gone waits for the end of processes, which nothing but what the test has done may bring
// about.
func gone(t *testing.T, all []one) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, o := range all {
		for o.alive() && time.Now().Before(deadline) {
			<-time.After(time.Millisecond)
		}
	}
	allEnded(t, all)
}

// allEnded checks that processes have ended, and kills those that have not.
func allEnded(t *testing.T, all []one) {
	t.Helper()
	for _, o := range all {
		if o.alive() {
			t.Errorf("process %d (%s) is alive", o.pid, o.args)
			_ = syscall.Kill(o.pid, syscall.SIGKILL)
		}
	}
}

// shortTemp is a TMPDIR of this test's own, short enough for sockets, and a
// function that lists the runtime directories in it.
func shortTemp(t *testing.T) func() []string {
	t.Helper()
	dir := tempdir.Use(t)
	return func() []string {
		left, err := filepath.Glob(filepath.Join(dir, "trellis-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
}

// sweep starts and ends an ordinary tree.
func sweep(t *testing.T) {
	t.Helper()
	cmd, out := program(t, "ordinary root")
	said, err := io.ReadAll(out)
	if err != nil || string(said) != "ended: <nil>\n" {
		t.Errorf("%q, %v", said, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// haveCgroups reports whether this machine gives them, to processes like this one.
func haveCgroups(t *testing.T) bool {
	t.Helper()
	_, err := rundir.Cgroup()
	if closing := rundir.Close(); closing != nil {
		t.Error(closing)
	}
	return err == nil
}

// The root of a tree is killed. Nobody is left to do anything in order; some
// actors are stopped, some ignore every signal that can be ignored, some have
// processes of their own.
func TestN07_RootIsKilled(t *testing.T) {
	runtimeDirs := shortTemp(t)
	cgroups := haveCgroups(t)
	for round := range rounds(t) {
		f := plant(t)
		stop(t, f.actors, round)
		_ = f.root.Process.Kill()
		_ = f.root.Wait()
		gone(t, append(f.actors, f.others...))
		if len(runtimeDirs()) == 0 {
			t.Error("there is nothing to sweep")
		}
		sweep(t)
		if left := runtimeDirs(); len(left) > 0 {
			t.Errorf("round %d: %v are left after the next start", round, left)
		}
		settleFled(t, cgroups, f.fled)
	}
}

// settleFled checks that what left its group did not leave its cgroup.
func settleFled(t *testing.T, cgroups bool, fled []one) {
	t.Helper()
	if cgroups {
		allEnded(t, fled)
		return
	}
	for _, o := range fled {
		if err := syscall.Kill(o.pid, syscall.SIGKILL); err != nil {
			t.Errorf("%v is gone without a cgroup: %v", o, err)
		}
	}
}

// An actor in the middle is killed: what is below it is gone at once, and its
// owner ends the rest in order.
func TestN07_ActorInTheMiddleIsKilled(t *testing.T) {
	runtimeDirs := shortTemp(t)
	cgroups := haveCgroups(t)
	for round := range rounds(t) {
		f := plant(t)
		middle := f.actors[0]
		if !strings.HasPrefix(middle.args, "trellis[") || len(offspring(middle.pid)) < 4 {
			t.Fatalf("%v is not in the middle", middle)
		}
		var below, actors []one
		for _, o := range offspring(middle.pid) {
			if !hasFled(o) {
				below = append(below, o)
			}
			if isActor(o) {
				actors = append(actors, o)
			}
		}
		stop(t, actors, round)
		if err := syscall.Kill(middle.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, append(below, middle))
		if !f.said.Scan() || !strings.Contains(f.said.Text(), "died (signal killed)") {
			t.Errorf("round %d: the root says %q", round, f.said.Text())
		}
		_ = f.root.Wait() // its text was checked
		allEnded(t, f.actors)
		gone(t, f.others) // which were sent SIGKILL, and are nobody's to wait for
		settleFled(t, cgroups, f.fled)
		if left := runtimeDirs(); len(left) > 0 {
			// The dead actors could not clear up; the root did for itself.
			sweep(t)
			if left := runtimeDirs(); len(left) > 0 {
				t.Errorf("round %d: %v are left", round, left)
			}
		}
	}
}
