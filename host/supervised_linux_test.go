package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// lockVar names the directory of the locking plugin's files.
const (
	lockVar = "HOST_TEST_LOCKS"
	nameVar = "HOST_TEST_NAME"
)

var cutLink = contract.Func[none, none]("cut_link")

func init() {
	freezeLeaf = func(pid int) error { return freeze(context.Background(), pid) }
	role("locking", func() {
		if err := lockGeneration(os.Getenv(lockVar), os.Getenv(nameVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		sdk.Serve(goodEndpoints()...)
	})
	role("cutting", func() {
		sdk.Serve(cutLink.Handle(func(context.Context, none) (none, error) {
			shutSockets()
			select {} // the actor does not end before its tasks
		}))
	})
}

// shutSockets breaks every connection that this process has.
func shutSockets() {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range fds {
		if fd, err := strconv.Atoi(filepath.Base(path)); err == nil {
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR) // most are not sockets
		}
	}
}

// lockGeneration locks a file for as long as this process lives, and fails if one
// of another generation is alive. The first process of each name is of the first
// generation, and so on.
func lockGeneration(dir, name string) error {
	table, err := os.OpenFile(filepath.Join(dir, "table"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = table.Close() }() // frees the table
	if err := syscall.Flock(int(table.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	mine, err := filepath.Glob(filepath.Join(dir, name+"-*"))
	if err != nil {
		return err
	}
	generation := strconv.Itoa(len(mine) + 1)
	others, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		return err
	}
	for _, path := range others {
		if !strings.HasSuffix(path, "-"+generation) && locked(path) {
			return fmt.Errorf("two generations are alive: %s-%s has met %s", name, generation, filepath.Base(path))
		}
	}
	fd, err := syscall.Open(filepath.Join(dir, name+"-"+generation), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return syscall.Flock(fd, syscall.LOCK_EX) // held to the end of the process
}

// locked reports whether some process holds a file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// soon makes restarts quick enough to be waited for.
var soon = config.Backoff{Initial: config.Duration(time.Millisecond), Max: config.Duration(5 * time.Millisecond)}

// restarting is an actor that comes back.
func restarting(t testing.TB, name string, kind config.RestartKind) host.Spec {
	s := spec(t, name, "good")
	s.Restart, s.Backoff = kind, soon
	return s
}

// restartingHere is one that comes back and whose program runs inside this process.
func restartingHere(name string, kind config.RestartKind) host.Spec {
	s := plug(name, "good")
	s.Restart, s.Backoff = kind, soon
	return s
}

// killHere and terminateHere end the process that stands for an actor's present one, and return
// who that was.
func killHere(ctx context.Context, p *host.Portal) actor.ID {
	process := processOf(ctx, p)
	process.Kill(syscall.SIGKILL)
	return process.ID()
}

func terminateHere(ctx context.Context, p *host.Portal) actor.ID {
	process := processOf(ctx, p)
	process.Terminate()
	return process.ID()
}

// startAll starts actors in order.
func startAll(ctx context.Context, t testing.TB, n *host.Nursery, specs ...host.Spec) []*host.Portal {
	t.Helper()
	var portals []*host.Portal
	for _, s := range specs {
		p, err := n.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		portals = append(portals, p)
	}
	return portals
}

// kill sends a signal to an actor's present process and returns who that was.
func kill(t testing.TB, p *host.Portal, signal syscall.Signal) actor.ID {
	t.Helper()
	id := p.ID()
	if err := syscall.Kill(id.PID, signal); err != nil {
		t.Fatal(err)
	}
	return id
}

// successor waits until another process than old answers.
func successor(ctx context.Context, t testing.TB, p *host.Portal, old actor.ID) actor.ID {
	t.Helper()
	for {
		id, err := whoami.Call(ctx, p, none{})
		switch {
		case err == nil && !id.Is(old):
			return id
		case err != nil && !errors.Is(err, fault.ErrActorLost) && !errors.Is(err, fault.ErrActorClosing) && !errors.Is(err, context.Canceled):
			t.Fatalf("while %s is restarted: %v", p.Name(), err)
		}
	}
}

// await waits for an event.
func await(ctx context.Context, t testing.TB, what string, match func(directory.Event) bool) directory.Event {
	t.Helper()
	for e, err := range host.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if match(e) {
			return e
		}
	}
	t.Fatalf("no event: %s", what)
	return directory.Event{}
}
