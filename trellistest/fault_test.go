package trellistest_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var count = contract.Source[int, int]("count") // from 1 to its argument

func countUp(_ context.Context, most int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 1; n <= most && yield(n, nil); n++ {
		}
	}
}

// bubble runs a test in virtual time, with an actor that greets and counts.
func bubble(t *testing.T, f func(t *testing.T, a *trellistest.Actor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, trellistest.Serve(t, greet.Handle(hello), count.Handle(countUp)))
	})
}

func TestDelayIsTheTimeOfEachFrame(t *testing.T) {
	bubble(t, func(t *testing.T, a *trellistest.Actor) {
		a.Delay(time.Hour)
		begun := time.Now()
		text, err := greet.Call(t.Context(), a, "Ada")
		if took := time.Since(begun); err != nil || text != "Hello, Ada!" || took != 2*time.Hour {
			t.Errorf("%q, %v after %v; want an hour for each way", text, err, took)
		}
	})
}

// Frames that are under way at the same time do not wait for each other.
func TestDelayIsNotATurnstile(t *testing.T) {
	bubble(t, func(t *testing.T, a *trellistest.Actor) {
		a.Delay(time.Hour)
		begun, n := time.Now(), 0
		for m, err := range count.Stream(t.Context(), a, 10) {
			if n++; err != nil || m != n {
				t.Fatalf("%d, %v", m, err)
			}
			if took := time.Since(begun); took != 2*time.Hour {
				t.Errorf("%d after %v", m, took)
			}
		}
	})
}

func TestDelayEachDoesNotLetFramesOvertake(t *testing.T) {
	bubble(t, func(t *testing.T, a *trellistest.Actor) {
		a.DelayEach(func(_ trellistest.Direction, frame int) time.Duration { return time.Hour / time.Duration(frame) })
		n := 0
		for m, err := range count.Stream(t.Context(), a, 100) {
			if n++; err != nil || m != n {
				t.Fatalf("%d, %v; want %d", m, err, n)
			}
		}
	})
}

// What both ends see of a link that is lost is what they see in production.
func TestALinkThatIsLost(t *testing.T) {
	lose := map[string]func(a *trellistest.Actor){
		"Cut":                (*trellistest.Actor).Cut,
		"CutAfter":           func(a *trellistest.Actor) { a.CutAfter(0); go ping(a) },
		"Corrupt to it":      func(a *trellistest.Actor) { a.Corrupt(trellistest.ToActor); go ping(a) },
		"Corrupt from it":    func(a *trellistest.Actor) { a.Corrupt(trellistest.FromActor); go ping(a) },
		"Cut while it waits": func(a *trellistest.Actor) { a.Stall(trellistest.ToActor); a.Stall(trellistest.FromActor); a.Cut() },
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, cause := make(chan struct{}), make(chan error, 1)
				a := trellistest.Serve(t, greet.Handle(func(ctx context.Context, name string) (string, error) {
					if name == "ping" {
						return "", nil
					}
					close(begun)
					<-ctx.Done()
					cause <- context.Cause(ctx)
					return "", context.Cause(ctx)
				}))
				go func() {
					<-begun
					lose(a)
				}()
				_, err := greet.Call(t.Context(), a, "Ada")
				if lost, ok := errors.AsType[*fault.LinkLost](err); !ok || !lost.Peer.Is(a.ID()) {
					t.Errorf("the caller sees %v", err)
				}
				if lost, ok := errors.AsType[*fault.LinkLost](<-cause); !ok || lost.Peer.Name != "test" {
					t.Errorf("the handler sees %v", lost)
				}
				<-a.Done()
				if _, err := greet.Call(t.Context(), a, "Ada"); !errors.Is(err, fault.ErrActorLost) {
					t.Errorf("a later call gave %v", err)
				}
			})
		})
	}
}

// ping makes a frame go in each direction.
func ping(a *trellistest.Actor) { _, _ = greet.Call(context.Background(), a, "ping") }

func TestCutAfterCountsFrames(t *testing.T) {
	bubble(t, func(t *testing.T, a *trellistest.Actor) {
		a.CutAfter(4) // two calls and their answers
		for i := range 3 {
			_, err := greet.Call(t.Context(), a, "Ada")
			if lost := errors.Is(err, fault.ErrActorLost); lost != (i == 2) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

func TestStallHoldsOneDirectionUp(t *testing.T) {
	for _, to := range []trellistest.Direction{trellistest.ToActor, trellistest.FromActor} {
		t.Run(to.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, a *trellistest.Actor) {
				a.Stall(to)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begun := time.Now()
				if _, err := greet.Call(ctx, a, "Ada"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
				a.Resume(to)
				if text, err := greet.Call(t.Context(), a, "Ada"); err != nil {
					t.Errorf("after Resume: %q, %v", text, err)
				}
			})
		})
	}
}

// A sender does not fill the memory while the link is stalled: it waits.
func TestAStalledLinkMakesSendersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		a := trellistest.Serve(t, count.Handle(func(_ context.Context, most int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 1; n <= most && yield(n, nil); n++ {
					sent = n
				}
			}
		}))
		a.Stall(trellistest.FromActor)
		received := 0
		go func() {
			<-time.After(time.Hour)
			if sent == 2_000 || sent == 0 {
				t.Errorf("%d have been sent over a stalled link", sent)
			}
			a.Resume(trellistest.FromActor)
		}()
		for _, err := range count.Stream(t.Context(), a, 2_000) {
			if err != nil {
				t.Fatal(err)
			}
			received++
		}
		if received != 2_000 {
			t.Errorf("%d have come", received)
		}
	})
}

// What holds up the link when the test ends is over by then, for what is under way as well.
func TestTheLinkIsMendedWhenTheTestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantNone(t, record(func(r testing.TB) {
			a := trellistest.Serve(r, greet.Handle(hello))
			a.Delay(time.Hour)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := greet.Call(ctx, a, "Ada"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call gave %v", err)
			}
		}))
	})
}
