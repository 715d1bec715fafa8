package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// eager has every call run on the link's reader, from the first one on.
func eager(s *setup) { s.eager = true }

func toFunc(endpoint string) *dialog.Request {
	return &dialog.Request{Endpoint: endpoint, Kind: dialog.Func}
}

// ways are all kinds of code that stands still until the gate is opened.
func ways(t *testing.T) map[string]func(ctx context.Context, gate *gate) {
	t.Helper()
	return map[string]func(context.Context, *gate){
		"channel": func(_ context.Context, g *gate) { <-g.open },
		"mutex": func(_ context.Context, g *gate) {
			g.mu.Lock()
			defer g.mu.Unlock()
		},
		"timer": func(_ context.Context, g *gate) {
			for !g.isOpen.Load() {
				time.Sleep(time.Millisecond)
			}
		},
		"input": func(_ context.Context, g *gate) {
			if _, err := g.from.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		},
		"busy": func(_ context.Context, g *gate) {
			for !g.isOpen.Load() {
			}
		},
		"polite": func(_ context.Context, g *gate) {
			for !g.isOpen.Load() {
				runtime.Gosched()
			}
		},
		"panic": func(_ context.Context, g *gate) {
			defer func() { <-g.open }()
			panic("boom")
		},
		"Goexit": func(_ context.Context, g *gate) {
			defer func() { <-g.open }()
			runtime.Goexit()
		},
	}
}

// gate lets code stand still, in every way.
type gate struct {
	open     chan struct{}
	isOpen   atomic.Bool
	mu       sync.Mutex
	from, to *os.File
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{})}
	var err error
	if g.from, g.to, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	t.Cleanup(func() { _ = errors.Join(g.from.Close(), g.to.Close()) })
	return g
}

func (g *gate) pass(t *testing.T) {
	t.Helper()
	close(g.open)
	g.isOpen.Store(true)
	g.mu.Unlock()
	if _, err := g.to.WriteString("x"); err != nil {
		t.Error(err)
	}
}

// N19: a handler that runs on the link's reader may do what it likes: all other dialogs of the link go
// on while it does, and it ends as it would anywhere.
func TestN19_AHandlerOnTheReaderHoldsUpNobody(t *testing.T) {
	for name, stand := range ways(t) {
		t.Run(name, func(t *testing.T) {
			g, onReader := newGate(t), make(chan bool, 1)
			p := newPair(t, tasks{
				"stands": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					onReader <- d.BegunOnReader()
					stand(ctx, g)
					return []byte("stood"), nil
				},
				"echo": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil },
			}, eager, patient)
			stands := task.Start(func() {
				got, err := p.parent.Call(t.Context(), toFunc("stands"))
				_, panicked := errors.AsType[*fault.PanicError](err)
				switch {
				case name == "panic" && !panicked, name == "Goexit" && !errors.Is(err, fault.ErrGoexit):
					t.Errorf("got %v", err)
				case name != "panic" && name != "Goexit" && (err != nil || string(got) != "stood"):
					t.Errorf("got %q, %v", got, err)
				}
			})
			if !<-onReader {
				t.Fatal("the handler does not run on the reader")
			}
			for i := range 3 { // while it stands
				if got, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "echo", Kind: dialog.Func, Args: []byte{byte(i)}}); err != nil || len(got) != 1 {
					t.Fatalf("another call: %q, %v", got, err)
				}
			}
			select {
			case <-stands.Done():
				t.Error("it does not stand still")
			default:
			}
			g.pass(t)
			stands.Wait()
		})
	}
}

// What others wait for it, by the bubble's clock: two looks of the watchdog at most. It hears of its own
// cancel as soon.
func TestN19_HowLongAHandlerOnTheReaderHoldsUpOthers(t *testing.T) {
	const looks, nap = 2 * time.Millisecond, 100 * time.Microsecond
	for name, c := range map[string]struct {
		stand func(ctx context.Context, call func(context.Context))
		most  time.Duration
	}{
		"sleep": {func(ctx context.Context, _ func(context.Context)) {
			for ctx.Err() == nil {
				time.Sleep(nap)
			}
		}, looks + nap},
		"channel": {func(ctx context.Context, _ func(context.Context)) { <-ctx.Done() }, looks},
		"condition": {func(ctx context.Context, _ func(context.Context)) {
			var mu sync.Mutex
			over := sync.NewCond(&mu)
			defer context.AfterFunc(ctx, over.Broadcast)()
			mu.Lock()
			defer mu.Unlock()
			for ctx.Err() == nil {
				over.Wait()
			}
		}, looks},
		"call": {func(ctx context.Context, call func(context.Context)) { call(ctx) }, looks}, // what it calls holds up the other side
		"call with a ctx of its own": {func(ctx context.Context, call func(context.Context)) {
			apart, stop := context.WithCancel(context.Background())
			defer context.AfterFunc(ctx, stop)()
			call(apart)
		}, looks},
		"call beside it": {func(ctx context.Context, call func(context.Context)) {
			var beside sync.WaitGroup
			beside.Go(func() { call(ctx) })
			beside.Wait()
		}, looks},
		"panic": {func(context.Context, func(context.Context)) { panic("boom") }, 0},
		"panic that waits": {func(ctx context.Context, _ func(context.Context)) {
			defer func() { <-ctx.Done() }()
			panic("boom")
		}, looks},
		"Goexit": {func(context.Context, func(context.Context)) { runtime.Goexit() }, 0},
		"Goexit that waits": {func(ctx context.Context, _ func(context.Context)) {
			defer func() { <-ctx.Done() }()
			runtime.Goexit()
		}, looks},
	} {
		for i, kind := range []dialog.Kind{dialog.Func, dialog.Func, dialog.Context, dialog.Context} {
			cancelled := i%2 == 1
			t.Run(fmt.Sprintf("%s of a %s cancelled %v", name, dialog.KindName(kind), cancelled), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &pair{}
					*p = *newPair(t, tasks{
						"waits": waits,
						"echo":  func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil },
						"stands": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
							if err := startedIf(kind, d); err != nil || !d.OnReader() {
								t.Errorf("the handler does not run on the reader, or %v", err)
							}
							c.stand(ctx, func(ctx context.Context) {
								if _, err := p.parent.Call(ctx, toFunc("waits")); err == nil {
									t.Error("what it has called ended well")
								}
							})
							return nil, context.Cause(ctx)
						},
					}, eager)
					ctx, cancel := context.WithCancel(t.Context())
					stands := beside(func() error { return run(ctx, p.child, "stands", kind) })
					synctest.Wait()
					began := time.Now()
					if cancelled {
						cancel()
						if stands.wait() == nil {
							t.Error("it has ended well")
						}
					} else if _, err := p.child.Call(t.Context(), toFunc("echo")); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > c.most {
						t.Errorf("it took %v, want %v at most", took, c.most)
					}
					cancel()
					stands.worker.Wait()
				})
			})
		}
	}
}

// startedIf calls Started for a context.
func startedIf(kind dialog.Kind, d *dialog.Dialog) error {
	if kind == dialog.Func {
		return nil
	}
	return d.Started(nil)
}

// run calls a Func, or opens a Context, and returns when the callee has ended.
func run(ctx context.Context, t *dialog.Table, endpoint string, kind dialog.Kind) error {
	if kind == dialog.Func {
		_, err := t.Call(ctx, toFunc(endpoint))
		return err
	}
	d, err := t.Open(ctx, &dialog.Request{Endpoint: endpoint, Kind: kind})
	if err != nil {
		return err
	}
	return d.Scope(func(context.Context, *dialog.Dialog) error { return nil })
}

// N19: what a context's handler has begun with Go is waited for without the reading.
func TestN19_AContextOnTheReaderIsLeftForWhatItHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := newPair(t, tasks{
			"begins": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
				d.Go(func(context.Context) error { <-gate; return nil })
				if !d.OnReader() {
					t.Error("it does not run on the reader")
				}
				return nil, d.Started(nil)
			},
			"echo": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil },
		}, eager)
		began := time.Now()
		begins := beside(func() error { return run(t.Context(), p.parent, "begins", dialog.Context) })
		synctest.Wait()
		if err := run(t.Context(), p.parent, "echo", dialog.Func); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("another call took %v", took)
		}
		close(gate)
		if err := begins.wait(); err != nil {
			t.Error(err)
		}
	})
}

// Frames that have come in one packet with the call that blocks are handled by whoever reads next,
// once each and in their order.
func TestN19_TheRestOfAPacketIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var ran atomic.Int64
		r := newRaw(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			if ran.Add(1) == 1 {
				<-gate
			}
			return nil, nil
		}}, eager)
		began := time.Now()
		r.send(start(1, dialog.Func), start(3, dialog.Func), start(5, dialog.Func))
		for time.Since(began) < 2*time.Millisecond { // the watchdog's two looks
			time.Sleep(time.Millisecond)
		}
		for id, want := range map[uint64]int{1: 0, 3: 1, 5: 1} {
			if n := len(r.got(wire.Kind_KIND_RETURN, id)); n != want {
				t.Errorf("%d answers of dialog %d, want %d", n, id, want)
			}
		}
		close(gate)
		if len(r.got(wire.Kind_KIND_RETURN, 1)) != 1 || ran.Load() != 3 {
			t.Errorf("the first one did not end, or %d have run", ran.Load())
		}
	})
}

// What lies behind slow handlers waits for one of them, whether the others are of the same endpoint or
// not, and whether that one has lost the reading or has returned just before.
func TestN19_SlowHandlersOfOnePacketDoNotAddUp(t *testing.T) {
	for name, c := range map[string]struct {
		endpoints []string
		takes     time.Duration
	}{
		"one endpoint":  {[]string{"a", "a", "a"}, 1900 * time.Microsecond},
		"two endpoints": {[]string{"a", "b"}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					if len(d.Args()) > 0 {
						time.Sleep(c.takes)
					}
					return nil, nil
				}
				var heard time.Time
				r := newRaw(t, tasks{"a": slow, "b": slow, "last": func(context.Context, *dialog.Dialog) ([]byte, error) {
					heard = time.Now()
					return nil, nil
				}}, eager)
				id := uint64(1)
				call := func(endpoint, args string) *wire.Frame {
					f := start(id, dialog.Func)
					f.Start.Endpoint, f.Payload = endpoint, []byte(args)
					id += 2
					return f
				}
				for range 100 { // until each may be slow more than once
					r.send(call("a", ""), call("b", ""))
				}
				began := time.Now()
				var packet []*wire.Frame
				for _, e := range c.endpoints {
					packet = append(packet, call(e, "slow"))
				}
				r.send(append(packet, call("last", ""))...)
				time.Sleep(2 * c.takes)
				synctest.Wait()
				if took := heard.Sub(began); took < time.Millisecond || took > 2*time.Millisecond {
					t.Errorf("the last frame was heard after %v, want one slow handler at most", took)
				}
			})
		})
	}
}

// Whoever calls something of this package that waits has the reading handed over before, so that
// not even the watchdog is needed: no time goes by in the bubble.
func TestN19_ACallOfAHandlerOnTheReaderCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pair{}
		inner := func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if !d.OnReader() {
				t.Error("it does not run on the reader")
			}
			return []byte("inner"), nil
		}
		*p = *newPair(t, tasks{
			"inner": inner,
			"outer": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				table := p.child
				if d.Self().Is(p.parent.Self()) {
					table = p.parent
				}
				if !d.OnReader() {
					t.Error("it does not run on the reader")
				}
				got, err := table.Call(ctx, toFunc("inner"))
				if d.OnReader() {
					t.Error("it still is the reader")
				}
				return append(got, " and outer"...), err
			},
		}, eager)
		began := time.Now()
		for _, from := range []*dialog.Table{p.parent, p.child} {
			if got, err := from.Call(t.Context(), toFunc("outer")); err != nil || string(got) != "inner and outer" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		within(t, began, 0)
	})
}

// A slow endpoint is not tried again for long: the calls after the first one do not even delay others.
func TestN19_ASlowEndpointLeavesTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var onReader atomic.Int64
		p := newPair(t, tasks{"slow": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if d.OnReader() {
				onReader.Add(1)
			}
			time.Sleep(time.Second)
			return nil, nil
		}}, eager)
		began := time.Now()
		var calls task.Group
		for range 20 {
			calls.Go(func() {
				if _, err := p.parent.Call(t.Context(), toFunc("slow")); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Close()
		if took := time.Since(began); took > time.Second+2*time.Millisecond {
			t.Errorf("20 calls at once took %v, one takes a second", took)
		}
		if n := onReader.Load(); n != 1 {
			t.Errorf("%d calls ran on the reader, want 1", n)
		}
	})
}

// An endpoint becomes one that runs in place after some fast calls.
func TestFastEndpointsComeToTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no call takes any time
		n, first := 0, 0
		p := newPair(t, tasks{"fast": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if n++; d.OnReader() && first == 0 {
				first = n
			}
			return nil, nil
		}})
		for range 40 { // one after the other, so that n needs no lock
			if _, err := p.parent.Call(t.Context(), toFunc("fast")); err != nil {
				t.Fatal(err)
			}
		}
		if first != 33 && !*allInPlace {
			t.Errorf("the first call on the reader was number %d, want 33", first)
		}
	})
}

// Calls of one packet, each of which is fast, do not add up to something that the rest of it waits for.
func TestN19_ManyFastCallsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var onReader atomic.Int64
		r := newRaw(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if d.OnReader() {
				onReader.Add(1)
			}
			return nil, nil
		}}, eager)
		for packet := range uint64(2) {
			var calls []*wire.Frame
			for i := range uint64(150) {
				calls = append(calls, start(packet*1000+2*i+1, dialog.Func))
			}
			r.send(calls...)
		}
		if n := onReader.Load(); n != 2*100 || r.table.Len() != 0 {
			t.Errorf("%d calls of 2 packets ran on the reader, want 100 of each; %d have not ended", n, r.table.Len())
		}
	})
}

// A peer that asks and does not read costs the reader nothing: what the connection does not take
// at once is the writer's. A reader that waited would never hear the peer's cancels.
func TestN19_TheReaderNeverWaitsToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := make(chan struct{})
		r := newRaw(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }},
			eager, func(s *setup) { s.reads = reads })
		const calls = 500
		for id := uint64(1); id < 2*calls; id += 2 {
			f := start(id, dialog.Func)
			f.Payload = make([]byte, 1000)
			r.send(f)
		}
		if n := r.table.Len(); n != 0 {
			t.Errorf("%d of %d calls have not ended", n, calls)
		}
		close(reads)
		synctest.Wait()
		for id := uint64(1); id < 2*calls; id += 2 {
			if n := len(r.got(wire.Kind_KIND_RETURN, id)); n != 1 {
				t.Fatalf("%d answers of dialog %d", n, id)
			}
		}
	})
}

// Many callers, whose calls run in place or not, block or not, call back or not, all get their own answer.
func TestHandlersOnTheReaderUnderLoad(t *testing.T) {
	p := &pair{}
	*p = *newPair(t, tasks{
		"echo": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil },
		"back": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			table := p.child
			if d.Self().Is(p.parent.Self()) {
				table = p.parent
			}
			return table.Call(ctx, &dialog.Request{Endpoint: "echo", Kind: dialog.Func, Args: d.Args()})
		},
		"yields": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { runtime.Gosched(); return d.Args(), nil },
		"exits":  func(context.Context, *dialog.Dialog) ([]byte, error) { runtime.Goexit(); return nil, nil },
	}, eager, patient)
	var callers task.Group
	for c := range 16 {
		callers.Go(func() {
			table := []*dialog.Table{p.parent, p.child}[c%2]
			for i := range 100 {
				endpoint := []string{"echo", "back", "yields", "exits", "echo"}[(c+i)%5]
				want := fmt.Sprint(c, i)
				got, err := table.Call(t.Context(), &dialog.Request{Endpoint: endpoint, Kind: dialog.Func, Args: []byte(want)})
				if endpoint == "exits" {
					if !errors.Is(err, fault.ErrGoexit) {
						t.Errorf("exits: %v", err)
					}
				} else if err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v; want %q", endpoint, got, err, want)
				}
			}
		})
	}
	callers.Close()
}
