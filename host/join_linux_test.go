package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("joins", func() { // until its standard input ends
		err := join(context.Background(), "guest", func(context.Context) error {
			_, err := io.Copy(io.Discard, os.Stdin)
			return err
		})
		if err != nil {
			panic(err)
		}
	})
	role("serves", func() { // until it is killed
		err := host.OpenNursery(context.Background(), serving(), func(context.Context, *host.Nursery) error {
			fmt.Println("serving") // the test waits for this line
			select {}
		})
		panic(err)
	})
}

// other is another program: this binary in a role, which ends with its standard input.
type other struct {
	*exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func start(t *testing.T, role string) *other {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), roleVar+"="+role, "GORACE=atexit_sleep_ms=0"), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &other{cmd, stdin, bufio.NewReader(out)}
}

// kill ends it with SIGKILL, and reaps it.
func (o *other) kill(t *testing.T) {
	t.Helper()
	if err := o.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := o.Wait(); err == nil {
		t.Error("it was killed, and has ended well")
	}
}

// join joins the host of a test, at its default address, or as if from another machine.
func join(ctx context.Context, name string, body func(ctx context.Context) error) error {
	address, credentials := site()
	return host.Join(ctx, address, host.JoinOptions{Name: name, Endpoints: goodEndpoints(), Credentials: credentials}, body)
}

// serving are the options of a host that can be joined, and takes calls from those that have.
func serving() host.Options {
	o := host.Options{Serve: "default", Endpoints: append(goodEndpoints(), upper.Handle(func(_ context.Context, s string) (string, error) {
		return strings.ToUpper(s), nil
	}))}
	for i, h := range o.Endpoints {
		o.Endpoints[i] = h.Callers("joined")
	}
	return reached(o)
}

// leaving does something that ends an actor, and gives the event that it is gone.
func leaving(ctx context.Context, name string, end func()) (directory.Event, error) {
	for e, err := range directory.Watch(ctx, name) {
		switch {
		case err != nil:
			return e, err
		case e.To == directory.Gone:
			return e, nil
		}
		end()
	}
	return directory.Event{}, errors.New("the tree has ended")
}

// guests are the programs that have joined. They leave when leave is called, which returns when
// they have.
type guests struct {
	all   sync.WaitGroup
	leave context.CancelFunc
	ctx   context.Context
}

func newGuests(t *testing.T) *guests {
	g := &guests{}
	g.ctx, g.leave = context.WithCancel(t.Context())
	return g
}

// add joins once more, and returns when that has succeeded, or why it has not.
func (g *guests) add(name string) error {
	joined := make(chan error, 1)
	g.all.Go(func() {
		joined <- join(g.ctx, name, func(ctx context.Context) error {
			joined <- nil
			<-ctx.Done()
			return ctx.Err()
		})
	})
	return <-joined
}

func (g *guests) end() {
	g.leave()
	g.all.Wait()
}

// D04: a program that joins is an actor of the tree: it is found and called, calls its host, and leaves
// without a trace.
func TestD04_AProgramJoins(t *testing.T) { overBoth(t, aProgramJoins) }

func aProgramJoins(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		o := start(t, "joins")
		p, err := directory.WaitFor(ctx, "guest")
		if err != nil {
			return err
		}
		pid, from := o.Process.Pid, ""
		if isRemote() {
			pid, from = 0, "b" // a pid says nothing here
		}
		if p.Entry.Actor.PID != pid || p.Entry.Last.Host != from || p.Entry.Path != "guest" || p.Entry.Epoch != 1 {
			t.Errorf("D04: it is %+v; its pid is %d, and its host %q", p.Entry, pid, from)
		}
		if s, err := echo.Call(ctx, p, "hello"); err != nil || s != "hello" {
			t.Errorf("D04: %q, %v", s, err)
		}
		if s, err := parent.Call(ctx, p, "hello"); err != nil || s != "HELLO" {
			t.Errorf("D04: the guest calls its host: %q, %v", s, err)
		}
		if id, err := whoami.Call(ctx, p, struct{}{}); err != nil || !id.Is(p.Entry.Actor) {
			t.Errorf("D04: it is %v and says %v, %v", p.Entry.Actor, id, err)
		}
		left, err := leaving(ctx, "guest", func() {
			if err := o.stdin.Close(); err != nil {
				t.Error(err)
			}
		})
		if err != nil || left.Err != nil || left.Cause != directory.Finished {
			t.Errorf("D04: it has left: %+v, %v", left, err)
		}
		if all, err := directory.Query(ctx, ""); len(all) > 0 || err != nil {
			t.Errorf("D04: %v are still there, %v", all, err)
		}
		if _, err := echo.Call(ctx, p, "hello"); !errors.Is(err, fault.ErrActorClosing) && !errors.Is(err, directory.ErrStale) {
			t.Errorf("D03: a call of a guest that has left: %v", err)
		}
		return o.Wait()
	})
	if err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(os.TempDir()); len(files) > 0 || err != nil {
		t.Errorf("D04: %v is left, %v", files, err)
	}
}

// D04: the host survives a guest that is killed in the middle of a stream, and is told with its name.
func TestD04_TheGuestIsKilled(t *testing.T) { overBoth(t, theGuestIsKilled) }

func theGuestIsKilled(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		o := start(t, "joins")
		p, err := directory.WaitFor(ctx, "guest")
		if err != nil {
			return err
		}
		left, err := leaving(ctx, "guest", func() {
			err := endless(ctx, p, func() { o.kill(t) })
			if lost, ok := errors.AsType[*fault.LinkLost](err); !ok || !lost.Peer.Is(p.Entry.Actor) {
				t.Errorf("D04: the stream has ended with %v", err)
			}
		})
		if lost, ok := errors.AsType[*fault.LinkLost](left.Err); err != nil || !ok || !lost.Peer.Is(p.Entry.Actor) || left.Cause != directory.Crashed {
			t.Errorf("D04: it is gone: %+v, %v", left, err)
		}
		return ctx.Err()
	})
	if err != nil {
		t.Errorf("D04: the host has failed with its guest: %v", err)
	}
}

// endless has an endless stream from an actor, and does something in the middle of it. It gives what the stream
// has ended with.
func endless(ctx context.Context, p contract.Portal, do func()) error {
	for n, err := range numbers.Stream(ctx, p, 1<<60) {
		if err != nil {
			return err
		}
		if n == 1000 {
			do()
		}
	}
	return errors.New("it has ended")
}

// D04: a guest survives its host, which is killed in the middle of a stream, and is told with its name.
func TestD04_TheHostIsKilled(t *testing.T) { overBoth(t, theHostIsKilled) }

func theHostIsKilled(t *testing.T) {
	t.Helper()
	o := start(t, "serves")
	if line, err := o.out.ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	err := join(t.Context(), "guest", func(ctx context.Context) error {
		err := endless(ctx, sdk.Parent(ctx), func() { o.kill(t) })
		if lost, ok := errors.AsType[*fault.LinkLost](err); !ok || lost.Peer.Name != "host" {
			t.Errorf("D04: the stream has ended with %v", err)
		}
		<-ctx.Done()
		return nil
	})
	if lost, ok := errors.AsType[*fault.LinkLost](err); !ok || lost.Peer.Name != "host" {
		t.Errorf("D04: Join has ended with %v", err)
	}
	if err := join(t.Context(), "guest", func(context.Context) error { return nil }); !errors.Is(err, host.ErrNoHost) {
		t.Errorf("D04: a host that was killed can be joined: %v", err)
	}
}

// D04: of two hosts one serves; the other one is told, and joins.
func TestD04_TheSecondHostJoins(t *testing.T) {
	tempdir.Use(t)
	_, err := open(t, serving(), func(context.Context, *host.Nursery) error {
		err := host.OpenNursery(t.Context(), serving(), func(context.Context, *host.Nursery) error {
			t.Error("D04: a second host serves")
			return nil
		})
		if !errors.Is(err, host.ErrServed) {
			t.Errorf("D04: the second host: %v", err)
		}
		return join(t.Context(), "second", func(ctx context.Context) error {
			return host.OpenNursery(ctx, host.Options{}, func(context.Context, *host.Nursery) error { return nil })
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: what a guest hosts is in the tree that it has joined, below the guest, and gone with it.
func TestD04_WhatAGuestHostsIsInTheTree(t *testing.T) { overBoth(t, whatAGuestHostsIsInTheTree) }

func whatAGuestHostsIsInTheTree(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		err := join(t.Context(), "guest", func(below context.Context) error {
			return host.OpenNursery(below, host.Options{}, func(below context.Context, n *host.Nursery) error {
				startAll(below, t, n, spec(t, "leaf", "good"))
				p, err := directory.WaitFor(ctx, "leaf")
				if err == nil && p.Entry.Path != "guest/leaf" {
					t.Errorf("D01: it is at %s", p.Entry.Path)
				}
				n.Cancel()
				return err
			})
		})
		if all, left := directory.Query(ctx, "leaf"); !errors.Is(left, directory.ErrNotFound) {
			t.Errorf("D01: %v are still there, %v", all, left)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: who has called a guest that leaves is told that it is ending, as of any other actor.
func TestD04_CallersOfAGuestThatLeaves(t *testing.T) { overBoth(t, callersOfAGuestThatLeaves) }

func callersOfAGuestThatLeaves(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		leave, left := make(chan struct{}), make(chan error, 1)
		go func() {
			left <- join(t.Context(), "guest", func(context.Context) error {
				<-leave
				return nil
			})
		}()
		guest, err := directory.WaitFor(ctx, "guest")
		if err != nil {
			return err
		}
		_, err = forever.Open(ctx, guest, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			close(leave)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, fault.ErrActorClosing) || !strings.Contains(err.Error(), "has left the tree") {
			t.Errorf("D04: the caller was told %v", err)
		}
		return <-left
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: guests do not keep a nursery from ending. They are asked to leave, and told who has asked.
func TestD04_AHostEndsWithoutItsGuests(t *testing.T) { overBoth(t, aHostEndsWithoutItsGuests) }

func aHostEndsWithoutItsGuests(t *testing.T) {
	t.Helper()
	left := make(chan error, 1)
	log, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		go func() {
			left <- join(t.Context(), "guest", func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			})
		}()
		if _, err := directory.WaitFor(ctx, "guest"); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	told := <-left
	if asked, ok := fault.Cancelled(told); !ok || asked.Canceller.Name != "host" {
		t.Errorf("D04: the guest was told %v", told)
	}
	if strings.Contains(log.String(), "SIGTERM") {
		t.Errorf("D04: force was used\n%s", log)
	}
}

// D04: a program joins within its ctx, and what body ends with is what Join does.
func TestD04_TheScopeOfAGuest(t *testing.T) { overBoth(t, theScopeOfAGuest) }

func theScopeOfAGuest(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(context.Context, *host.Nursery) error {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		err := join(ctx, "guest", func(ctx context.Context) error {
			cancel(why)
			<-ctx.Done()
			return ctx.Err()
		})
		if err != why { //nolint:errorlint // the very same
			t.Errorf("D04: its ctx has ended, and Join gives %v", err)
		}
		if err := join(t.Context(), "guest", func(context.Context) error { return errBody }); err != errBody { //nolint:errorlint // the very same
			t.Errorf("D04: body has failed, and Join gives %v", err)
		}
		func() {
			defer func() {
				if p, ok := recover().(*fault.PanicError); !ok || p.Value != "as asked" {
					t.Errorf("D04: body has panicked, and Join with %v", p)
				}
			}()
			_ = join(t.Context(), "guest", func(context.Context) error { panic("as asked") })
		}()
		vanished := make(chan struct{})
		go func() {
			defer close(vanished)
			_ = join(t.Context(), "guest", func(context.Context) error { runtime.Goexit(); return nil })
		}()
		<-vanished
		return join(t.Context(), "guest", func(context.Context) error { return nil })
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: so many may join, and no more, until one has left. Nothing of them is left in the host.
func TestD04_GuestsAreBounded(t *testing.T) { overBoth(t, guestsAreBounded) }

func guestsAreBounded(t *testing.T) {
	t.Helper()
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		before := descriptors(t)
		for range 2 {
			g := newGuests(t)
			for n := range 64 {
				if err := g.add("guest"); err != nil {
					t.Errorf("D04: guest %d: %v", n, err)
				}
			}
			if all, err := directory.FindAll(ctx, "guest"); len(all) != 64 {
				t.Errorf("D04: %d have joined, %v", len(all), err)
			}
			who := strconv.Itoa(os.Getpid())
			if isRemote() {
				who = "one on b"
			}
			if err := g.add("guest"); !errors.Is(err, fault.ErrOverloaded) || !strings.Contains(err.Error(), who) {
				t.Errorf("D04: one too many: %v", err)
			}
			g.end()
			for _, err := directory.Query(ctx, "guest"); err == nil; _, err = directory.Query(ctx, "guest") {
				runtime.Gosched() // until all have left
			}
		}
		for late := time.Now().Add(patience); descriptors(t) > before; { // a connection is closed behind the rest
			if time.Now().After(late) {
				t.Fatalf("D04: there were %d descriptors, and are %d", before, descriptors(t))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: programs that connect and say nothing keep nobody from joining: those that came first make way.
func TestD04_SilentProgramsTakeNoPlace(t *testing.T) {
	tempdir.Use(t)
	path, err := rundir.Socket("default")
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, serving(), func(context.Context, *host.Nursery) error {
		var silent []net.Conn
		for range 200 {
			conn, err := net.Dial("unix", path)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			silent = append(silent, conn)
		}
		for range 3 {
			if err := join(t.Context(), "guest", func(context.Context) error { return nil }); err != nil {
				t.Errorf("D04: %v", err)
			}
		}
		for _, conn := range silent[:100] { // more are waiting than there may be
			if n, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("D04: a program that says nothing gets %d bytes", n)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: a program is who it was told to be, in what it says on its link, too: it cancels in nobody else's name.
func TestD04_AGuestIsWhoItIs(t *testing.T) {
	tempdir.Use(t)
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		for what, change := range map[string]func(id *actor.ID){
			"another identity": func(id *actor.ID) { id.UUID = actor.NewID("other").UUID },
			"another name":     func(id *actor.ID) { id.Name = "root" },
		} {
			end, boot, err := control.Join(ctx, "default", &wire.BootResponse{Self: &wire.Identity{Name: "guest"}})
			if err != nil {
				return err
			}
			id := boot.Self.ToID()
			change(&id)
			l := link.New(end, link.Config{Self: id, Dialled: true})
			d := dialog.NewTable(l, dialog.Config{Base: ctx})
			<-l.Done()
			if _, why := l.Farewell(); !errors.Is(why, fault.ErrProtocol) || !strings.Contains(fmt.Sprint(why), "it was told that it is guest") {
				t.Errorf("D04: %s: %v", what, why)
			}
			d.Lose(errBody)
			d.Close()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// D04: a program cannot take the calls that are for an actor of the tree, whichever of them is there first, and
// however deep below the program; it is still found by its path. Its name has the form of an actor's.
func TestD04_NamesOfGuests(t *testing.T) {
	tempdir.Use(t)
	_, err := open(t, serving(), func(ctx context.Context, n *host.Nursery) error {
		g := newGuests(t)
		defer g.end()
		if err := g.add("parser"); err != nil {
			return err
		}
		if p, err := directory.Find(ctx, "parser"); err != nil || !p.Entry.Last.Joined {
			t.Errorf("D04: only the program has the name: %v, %v", p, err)
		}
		startAll(ctx, t, n, spec(t, "parser", "good"))
		if err := g.add("parser"); err != nil {
			return err
		}
		all, err := directory.FindAll(ctx, "parser")
		if err != nil || len(all) != 1 || all[0].Entry.Last.Joined {
			t.Errorf("D04: %v are found beside the actor, %v", all, err)
		}
		if p, err := directory.Find(ctx, "parser#3"); err != nil || !p.Entry.Last.Joined {
			t.Errorf("D04: the program at its path: %v, %v", p, err)
		}
		for _, name := range []string{"Parser", "a/b"} {
			err := join(t.Context(), name, func(context.Context) error { return nil })
			if err == nil || !strings.Contains(err.Error(), "expected a name") {
				t.Errorf("D04: %s: %v", name, err)
			}
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: a tree starts, though programs join under the names of its actors from the first moment.
func TestD04_TheTreeHasItsPaths(t *testing.T) { overBoth(t, theTreeHasItsPaths) }

func theTreeHasItsPaths(t *testing.T) {
	t.Helper()
	g := newGuests(t)
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		for g.add("parser") != nil && g.ctx.Err() == nil {
			runtime.Gosched() // until the host serves
		}
	}()
	err := host.OpenTree(t.Context(), serving(), []host.Spec{spec(t, "parser", "good")}, func(ctx context.Context, _ *host.Tree) error {
		<-waiting
		p, err := directory.Find(ctx, "parser")
		if err == nil && (p.Entry.Last.Joined || p.Entry.Path != "parser") {
			t.Errorf("D04: the actor is at %s", p.Entry.Path)
		}
		g.end()
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// D06: a program that has joined calls what is marked for such programs, and nothing else.
func TestD06_GuestsCallWhatIsMarked(t *testing.T) {
	tempdir.Use(t)
	o := host.Options{Serve: "default", Endpoints: goodEndpoints()}
	_, err := open(t, o, func(context.Context, *host.Nursery) error {
		return join(t.Context(), "guest", func(ctx context.Context) error {
			if _, err := echo.Call(ctx, sdk.Parent(ctx), "hello"); !errors.Is(err, fault.ErrNotAllowed) {
				t.Errorf("D06: %v", err)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}
