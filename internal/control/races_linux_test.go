package control_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// D04: of many that begin at once, exactly one serves; the others are told so, and nothing is left.
func TestD04_OneServes(t *testing.T) {
	dir := tempdir.Use(t)
	for range 20 {
		var serving, refused atomic.Int32
		var begun, tried sync.WaitGroup
		begun.Add(1)
		over := make(chan struct{})
		var ended sync.WaitGroup
		for range 16 {
			tried.Add(1)
			ended.Go(func() {
				begun.Wait()
				l, err := control.Listen("default")
				switch {
				case err == nil:
					serving.Add(1)
				case errors.Is(err, control.ErrServed):
					refused.Add(1)
				default:
					t.Error(err)
				}
				tried.Done()
				<-over
				if l != nil {
					l.Close()
				}
			})
		}
		begun.Done()
		tried.Wait()
		if serving.Load() != 1 || refused.Load() != 15 {
			t.Errorf("D04: %d serve, and %d were refused", serving.Load(), refused.Load())
		}
		close(over)
		ended.Wait()
	}
	if files := left(t, dir); len(files) > 0 {
		t.Errorf("D04: %v is left", files)
	}
}

// D04: of many that begin at once one serves, and all others join it.
func TestD04_OneServesAndTheOthersJoin(t *testing.T) {
	tempdir.Use(t)
	for range 10 {
		var serving, joined atomic.Int32
		var all, guests sync.WaitGroup
		guests.Add(7)
		for range 8 {
			all.Go(func() {
				l, err := control.Listen("default")
				if errors.Is(err, control.ErrServed) {
					defer guests.Done()
					end, _, err := control.Join(t.Context(), "default", hello("guest"))
					if err != nil {
						t.Errorf("D04: one serves, and Join says: %v", err)
						return
					}
					joined.Add(1)
					end.Abort()
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				serving.Add(1)
				attend(t, l, &guests)
			})
		}
		all.Wait()
		if serving.Load() != 1 || joined.Load() != 7 {
			t.Errorf("D04: %d serve, and %d have joined", serving.Load(), joined.Load())
		}
	}
}

// attend lets programs in until the guests have been here, and closes the socket.
func attend(t *testing.T, l *control.Listener, guests *sync.WaitGroup) {
	go func() {
		guests.Wait()
		l.Close()
	}()
	for {
		caller, err := l.Accept()
		if err != nil {
			return
		}
		if _, err = caller.Hear(t.Context()); err == nil {
			_, err = caller.Admit(t.Context(), &wire.BootRequest{})
		}
		if err != nil {
			t.Error(err)
		}
		defer caller.Close()
	}
}

// noticed is a ctx that says when somebody begins to wait for its end.
type noticed struct {
	context.Context
	waits chan struct{}
}

func (n *noticed) Done() <-chan struct{} {
	select {
	case n.waits <- struct{}{}:
	default:
	}
	return n.Context.Done()
}

// D04: a host that has the address and does not listen yet is waited for.
func TestD04_JoinWaitsForAHostThatBegins(t *testing.T) {
	tempdir.Use(t)
	path, err := rundir.Socket("default")
	must(t, err)
	release, err := rundir.Occupy(path)
	must(t, err)
	defer release(true)
	ctx := &noticed{t.Context(), make(chan struct{}, 1)}
	told := make(chan error)
	go func() {
		end, _, err := control.Join(ctx, "default", hello("guest"))
		if err == nil {
			end.Abort()
		}
		told <- err
	}()
	<-ctx.waits // there is no socket, and so it is not for a connection
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer func() { _ = l.Close() }()
	conn, err := l.Accept()
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write(append([]byte{0, 0, 0, 10}, "\xa1\x67version\x01"...))
	must(t, err)
	if err := <-told; err != nil {
		t.Errorf("D04: %v", err)
	}
}

// D04: whoever has connected when a host ends is told that there is none, and not of a connection.
func TestD04_JoinMeetsTheEndOfAHost(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	ctx := &noticed{t.Context(), make(chan struct{}, 1)}
	told := make(chan error)
	go func() {
		_, _, err := control.Join(ctx, "default", hello("guest"))
		told <- err
	}()
	<-ctx.waits
	l.Close()
	if err := <-told; !errors.Is(err, control.ErrNoHost) {
		t.Errorf("D04: %v", err)
	}
}

// D04: while hosts come and go at one address, whoever serves there is found there.
func TestD04_ServingInTurns(t *testing.T) {
	tempdir.Use(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for served := 0; served < 50; {
				l, err := control.Listen("default")
				if errors.Is(err, control.ErrServed) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				served++
				conn, err := net.Dial("unix", l.Path())
				if err != nil {
					t.Errorf("D04: it serves, and %v", err)
				} else if err := conn.Close(); err != nil {
					t.Error(err)
				}
				l.Close()
			}
		})
	}
	all.Wait()
}
