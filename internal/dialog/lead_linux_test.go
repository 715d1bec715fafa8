package dialog_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// watched is what lies between the parent and shared memory.
type watched struct {
	memory

	leads atomic.Int64  // how often somebody has led
	tries chan bool     // if it is not nil, gets whether somebody leads who wants to, and then has nothing come for leaders
	waits chan struct{} // gets a value when a leader has looked whether it is over, and is about to sleep
	slept chan struct{} // gets one when it has slept
}

// memory is all that shared memory can as a transport.
type memory interface {
	link.Leading
	link.Prompt
	link.Aside
	link.Ahead
}

func (w *watched) Lead() bool {
	ok := w.memory.Lead()
	if ok {
		w.leads.Add(1)
	}
	if w.tries != nil {
		w.tries <- ok
	}
	return ok
}

func (w *watched) RecvNow(over func() bool) (*wire.Packet, error) {
	if w.tries == nil {
		return w.memory.RecvNow(over)
	}
	if !over() {
		w.waits <- struct{}{}
		<-w.slept
	}
	return nil, nil
}

// inMemory puts shared memory between the two ends of a pair, so that openers may lead.
func inMemory(t *testing.T, w *watched) func(s *setup) {
	t.Helper()
	return func(s *setup) {
		s.between = func(a, b link.Transport) (link.Transport, link.Transport) {
			a.Abort()
			b.Abort()
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			var ends [2]*net.UnixConn
			for i, fd := range fds {
				file := os.NewFile(uintptr(fd), "socket")
				conn, err := net.FileConn(file)
				if err != nil {
					t.Fatal(err)
				}
				_ = file.Close() // conn has a descriptor of its own
				ends[i] = conn.(*net.UnixConn)
			}
			var offered link.Transport
			offering := task.Start(func() {
				var err error
				if offered, err = link.OfferMemory(ends[0]); err != nil {
					t.Error(err)
				}
			})
			taken, err := link.TakeMemory(ends[1])
			if err != nil {
				t.Fatal(err)
			}
			offering.Wait()
			var ok bool
			if w.memory, ok = offered.(memory); !ok {
				t.Fatal("there is no memory between them")
			}
			return w, taken
		}
	}
}

// Openers lead, each for a while, beside others that do what they like, from both sides; each gets its own answer, and
// nothing is left over. If nobody ever led, it would not end.
func TestOpenersLeadBesideOthers(t *testing.T) {
	echo := func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }
	started := func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), d.Started(d.Args()) }
	w := &watched{}
	p := newPair(t, tasks{"echo": echo, "started": started, "waits": waits, "large": func(context.Context, *dialog.Dialog) ([]byte, error) {
		return bytes.Repeat([]byte("large"), 40_000), nil
	}}, inMemory(t, w), patient)
	var all task.Group
	for i, table := range []*dialog.Table{p.parent, p.child, p.parent, p.child} {
		all.Go(func() {
			for n := range 300 {
				args := []byte{byte(i), byte(n)}
				r := &dialog.Request{Endpoint: "echo", Kind: dialog.Func, Args: args}
				switch n % 7 {
				default:
					got, err := table.Call(t.Context(), r)
					if err != nil || !bytes.Equal(got, args) {
						t.Errorf("call: %v, %v", got, err)
					}
				case 1, 3:
					r.Endpoint, r.Kind = "started", dialog.Context
					d, err := table.Open(t.Context(), r)
					if err != nil {
						t.Error(err)
						return
					}
					err = d.Scope(func(_ context.Context, d *dialog.Dialog) error {
						if !bytes.Equal(d.First(), args) {
							t.Errorf("started with %v", d.First())
						}
						return nil
					})
					if err != nil {
						t.Errorf("context: %v", err)
					}
				case 5:
					if got, err := table.Call(t.Context(), toFunc("large")); err != nil || len(got) != 200_000 {
						t.Errorf("a large answer: %d bytes, %v", len(got), err)
					}
				case 6:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*10*time.Microsecond)
					if _, err := table.Call(ctx, toFunc("waits")); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("a call that is given up: %v", err)
					}
					cancel()
				}
			}
		})
	}
	all.Close()
	if n := p.parent.Len() + p.child.Len(); n != 0 {
		t.Errorf("%d dialogs are left", n)
	}
	for w.leads.Load() == 0 { // beside others, on a machine that is busy, perhaps nobody has
		if _, err := p.parent.Call(t.Context(), toFunc("echo")); err != nil {
			t.Fatal(err)
		}
	}
}

// A leader finds that its ctx has ended as soon as it does not sleep, whatever comes or does not.
func TestALeadersCtxEndsItsWait(t *testing.T) {
	w := &watched{}
	p := newPair(t, tasks{"waits": waits}, inMemory(t, w), patient)
	w.tries, w.waits, w.slept = make(chan bool, 1), make(chan struct{}), make(chan struct{})
	for led := false; !led; {
		ctx, cancel := context.WithCancelCause(t.Context())
		calling := beside(func() error { _, err := p.parent.Call(ctx, toFunc("waits")); return err })
		if led = <-w.tries; led {
			<-w.waits
		}
		cancel(errBoom)
		if led {
			w.slept <- struct{}{}
		}
		if err := calling.wait(); !errors.Is(err, errBoom) {
			t.Errorf("got %v", err)
		}
	}
}

// What a peer calls while somebody leads does not run under the labels of that one.
func TestALeadersLabelsAreItsOwn(t *testing.T) {
	w := &watched{}
	var p *pair
	made := make(chan struct{}) // the race detector does not see what shared memory orders
	p = newPair(t, tasks{
		"calls back": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-made
			return p.child.Call(ctx, toFunc("profile"))
		},
		"profile": func(context.Context, *dialog.Dialog) ([]byte, error) {
			var all bytes.Buffer
			err := pprof.Lookup("goroutine").WriteTo(&all, 1)
			for record := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) {
				if bytes.Contains(record, []byte("pprof.writeGoroutine")) {
					return record, err
				}
			}
			return nil, errors.Join(err, errBoom)
		},
	}, inMemory(t, w), patient)
	close(made)
	for w.leads.Load() < 2 {
		pprof.Do(t.Context(), pprof.Labels("caller", "of the caller"), func(ctx context.Context) {
			if got, err := p.parent.Call(ctx, toFunc("calls back")); err != nil || bytes.Contains(got, []byte("of the caller")) {
				t.Errorf("%v, and the handler is\n%s", err, got)
			}
		})
	}
}
