package pair_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type none = struct{}

var (
	echo = contract.Func[[]byte, []byte]("echo")
	open = contract.Context[none, none, none, none, none]("open")
)

// sockets returns the two ends of a unix socket: what a host and its child have, in one process, so
// that a benchmark's allocations, and its profiles, are those of both sides.
func sockets(b *testing.B) (x, y *net.UnixConn) {
	b.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(b.TempDir(), "s"), Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	dialled, err := net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr))
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := listener.AcceptUnix()
	if err != nil {
		b.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		b.Fatal(err)
	}
	return accepted, dialled
}

// crowd runs op b.N times, shared by callers that come one after the other each.
func crowd(b *testing.B, callers int, op func() error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for n := i; n < b.N; n += callers {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// The allocations of both sides, and what they take together.
func BenchmarkBothSides(b *testing.B) {
	x, y := sockets(b)
	benchBothSides(b, func(handlers ...contract.Handler) (*pair.Portal, error) {
		return pair.Join(link.NewLocal(x), link.NewLocal(y), handlers...)
	})
}

// The same with the spans of both kept.
func BenchmarkBothSidesTraced(b *testing.B) {
	x, y := sockets(b)
	s := records.New("", 1, 20_000, nil)
	benchBothSides(b, func(handlers ...contract.Handler) (*pair.Portal, error) {
		return pair.Traced(s, link.NewLocal(x), link.NewLocal(y), handlers...)
	})
}

// The same with shared memory beside the socket, where there is any.
func BenchmarkBothSidesInMemory(b *testing.B) {
	x, y := sockets(b)
	var offered link.Transport
	offering := task.Start(func() {
		var err error
		if offered, err = link.OfferMemory(x); err != nil {
			b.Error(err)
		}
	})
	taken, err := link.TakeMemory(y)
	if err != nil {
		b.Fatal(err)
	}
	offering.Wait()
	benchBothSides(b, func(handlers ...contract.Handler) (*pair.Portal, error) {
		return pair.Join(offered, taken, handlers...)
	})
}

// The same as between two machines, but for the way.
func BenchmarkBothSidesFromElsewhere(b *testing.B) {
	dir := b.TempDir()
	ca, err := fleet.NewCA(filepath.Join(dir, "ca"))
	if err == nil {
		err = ca.Issue("a", filepath.Join(dir, "a"), fleet.DefaultLifetime)
	}
	if err != nil {
		b.Fatal(err)
	}
	credentials, err := fleet.LoadCredentials(filepath.Join(dir, "a"))
	if err != nil {
		b.Fatal(err)
	}
	l, err := fabric.Listen(b.Context(), "127.0.0.1:0", credentials)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var x *fabric.Conn
	dialling := task.Start(func() {
		var err error
		if x, err = fabric.Dial(b.Context(), credentials, l.Addr().String(), "a"); err != nil {
			b.Error(err)
		}
	})
	y, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	dialling.Wait()
	benchBothSides(b, func(handlers ...contract.Handler) (*pair.Portal, error) {
		return pair.Join(link.NewStream(y), link.NewStream(x), handlers...)
	})
}

func benchBothSides(b *testing.B, join func(handlers ...contract.Handler) (*pair.Portal, error)) {
	b.Helper()
	p, err := join(
		echo.Handle(func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }),
		open.Handle(func(_ context.Context, _ none, c *contract.Callee[none, none, none]) (none, error) {
			return none{}, c.Started(none{})
		}),
	)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	}()
	ctx := b.Context()
	payload := make([]byte, 64)
	call := func() error {
		_, err := echo.Call(ctx, p, payload)
		return err
	}
	b.Run("call", func(b *testing.B) { crowd(b, 1, call) })
	b.Run("call of 64 callers", func(b *testing.B) { crowd(b, 64, call) })
	b.Run("context", func(b *testing.B) {
		crowd(b, 1, func() error {
			_, err := open.Open(ctx, p, none{}, func(context.Context, *contract.Opener[none, none, none, none]) error { return nil })
			return err
		})
	})
}
