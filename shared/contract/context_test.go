package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// sums is a context that adds up what it is sent.
var sums = contract.Context[int, string, int, int, int]("sums")

type (
	sumsCallee = contract.Callee[string, int, int]
	sumsOpener = contract.Opener[string, int, int, int]
)

func addUp(ctx context.Context, sum int, c *sumsCallee) (int, error) {
	if err := c.Started("ready"); err != nil {
		return 0, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	for m, err := range s.All(ctx) {
		if err != nil {
			return 0, err
		}
		sum += m
		if err := s.Send(ctx, sum); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

func TestC01_TypedContextFromStartToResult(t *testing.T) {
	p := pair.Serve(t, sums.Handle(addUp))
	got, err := sums.Open(t.Context(), p, 100, func(ctx context.Context, c *sumsOpener) error {
		if c.Value() != "ready" || !c.Peer().Is(p.Callee) {
			t.Errorf("Started by %v with %q", c.Peer(), c.Value())
		}
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for i := range 3 {
			if err := s.Send(ctx, i); err != nil {
				return err
			}
		}
		s.CloseSend()
		var partial []int
		for m, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			partial = append(partial, m)
		}
		if fmt.Sprint(partial) != "[100 101 103]" {
			t.Errorf("the sums are %v", partial)
		}
		return nil
	})
	if got != 103 || err != nil {
		t.Errorf("the result is %d, %v", got, err)
	}
}

func TestC06_ZeroResultIsAResult(t *testing.T) {
	p := pair.Serve(t, sums.Handle(addUp))
	var opener *sumsOpener
	got, err := sums.Open(t.Context(), p, 0, func(_ context.Context, c *sumsOpener) error {
		opener = c
		_, err := c.Stream(contract.StreamOptions{})
		return err // leaving closes the stream
	})
	if got != 0 || err != nil {
		t.Errorf("the result is %d, %v", got, err)
	}
	for range 3 {
		if got, err := opener.Wait(t.Context()); got != 0 || err != nil {
			t.Errorf("Wait: %d, %v", got, err)
		}
	}
}

func TestC08_TypedScopeIsInterruptedByTheHandlersFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pair.Serve(t, sums.Handle(func(_ context.Context, _ int, c *sumsCallee) (int, error) {
			defer time.Sleep(time.Second)
			return 0, errors.Join(c.Started(""), errBoom)
		}))
		began := time.Now()
		var cause, waited error
		_, err := sums.Open(t.Context(), p, 0, func(ctx context.Context, c *sumsOpener) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			_, waited = c.Wait(context.WithoutCancel(ctx))
			return ctx.Err()
		})
		if !errors.Is(err, errBoom) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err != cause || err != waited { //nolint:errorlint // C23: the very object
			t.Errorf("three errors: %v, %v, %v", err, cause, waited)
		}
	})
}

func TestC11_OwnCancelGivesTheZeroResultAndNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pair.Serve(t, sums.Handle(addUp))
		var opener *sumsOpener
		got, err := sums.Open(t.Context(), p, 7, func(ctx context.Context, c *sumsOpener) error {
			opener = c
			if err := c.Cancel(ctx, "enough"); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			if _, err := c.Stream(contract.StreamOptions{}); !errors.Is(err, context.Canceled) {
				t.Errorf("C13: a stream after it: %v", err)
			}
			return ctx.Err()
		})
		if got != 0 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		_, err = opener.Wait(t.Context())
		if c, ok := fault.Cancelled(err); !ok || c.Reason != "enough" {
			t.Errorf("Wait: %v", err)
		}
	})
}

// T7: a zero result and no error may be a value, or the answer to a Cancel.
func TestC11_CancelledTellsAZeroValueFromNone(t *testing.T) {
	for name, c := range map[string]struct {
		handler   func(ctx context.Context, n int, c *sumsCallee) (int, error)
		ask, want bool
	}{
		"a value":            {func(_ context.Context, _ int, c *sumsCallee) (int, error) { return 0, c.Started("") }, false, false},
		"a value was faster": {func(_ context.Context, _ int, c *sumsCallee) (int, error) { return 0, c.Started("") }, true, false},
		"a cancel":           {addUp, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pair.Serve(t, sums.Handle(c.handler))
				var opener *sumsOpener
				got, err := sums.Open(t.Context(), p, 7, func(ctx context.Context, o *sumsOpener) error {
					opener = o
					if synctest.Wait(); o.Cancelled() {
						t.Error("cancelled before anybody asked")
					}
					if !c.ask {
						return nil
					}
					err := o.Cancel(ctx, "enough")
					if _, ended := o.Wait(t.Context()); o.Cancelled() != c.want {
						t.Errorf("when Wait has returned: %t, %v", !c.want, ended)
					}
					return err
				})
				if got != 0 || err != nil || opener.Cancelled() != c.want {
					t.Errorf("got %d, %v, cancelled %t", got, err, opener.Cancelled())
				}
			})
		})
	}
}

// T7: before Started, the end of ctx is the way to cancel: it waits for the clean-up, too.
func TestC11_CancelBeforeStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cleaned bool
		p := pair.Serve(t, sums.Handle(func(ctx context.Context, _ int, _ *sumsCallee) (int, error) {
			<-ctx.Done()
			<-time.After(time.Minute) // its clean-up
			cleaned = true
			return 0, context.Cause(ctx)
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errBoom) })
		began := time.Now()
		_, err := sums.Open(ctx, p, 7, func(context.Context, *sumsOpener) error { return errors.New("body ran") })
		if !errors.Is(err, errBoom) || !cleaned || time.Since(began) != time.Minute+time.Second {
			t.Errorf("after %v, cleaned up %t: %v", time.Since(began), cleaned, err)
		}
	})
}

func TestC12_TypedValueWinsOverALateCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pair.Serve(t, sums.Handle(func(_ context.Context, n int, c *sumsCallee) (int, error) { return n, c.Started("") }))
		got, err := sums.Open(t.Context(), p, 7, func(ctx context.Context, c *sumsOpener) error {
			synctest.Wait() // the callee has returned
			return c.Cancel(ctx, "late")
		})
		if got != 7 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	})
}

// A message that does not fit fails the context on both sides with one error.
func TestP08_MessageThatDoesNotFitFailsBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atCallee error
		p := pair.Serve(t, sums.Handle(func(ctx context.Context, n int, c *sumsCallee) (int, error) {
			sum, err := addUp(ctx, n, c)
			atCallee = err
			return sum, err
		}))
		byHand := contract.ContextByHand("sums")
		_, err := byHand.Open(t.Context(), p, json.RawMessage("1"), func(ctx context.Context, c *contract.Opener[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]) error {
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			if err := s.Send(ctx, json.RawMessage(`"three"`)); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		for who, err := range map[string]error{"the opener": err, "the callee": atCallee} {
			if c := misfit(t, err); c.What != "command" || c.Want != "int (int)" && c.Want != "int" || c.Got != "string" {
				t.Errorf("%s: %+v", who, c)
			}
		}
	})
}

func TestP08_StartedOfAnotherType(t *testing.T) {
	p := pair.Serve(t, sums.Handle(addUp))
	other := contract.Context[int, int, int, int, int]("sums")
	_, err := other.Open(t.Context(), p, 1, func(context.Context, *contract.Opener[int, int, int, int]) error {
		t.Error("the body ran")
		return nil
	})
	if c := misfit(t, err); c.What != "started" {
		t.Errorf("got %+v", c)
	}
}

// M17: an endpoint with one answer, or one way, gives its callee no end to send
// into, and a raw opener that sends all the same breaks the protocol.
func TestM17_OneWayEndpointCannotBeSentTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pair.Serve(t, numbers.Handle(counting))
		d, err := p.Dialogs.Open(t.Context(), &dialog.Request{Endpoint: "numbers", Kind: dialog.Source, Codec: "cbor", Args: []byte{0x1a, 0, 1, 0, 0}})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Scope(func(ctx context.Context, d *dialog.Dialog) error {
			if _, err := d.OpenStream(dialog.StreamOptions{}); !errors.Is(err, fault.ErrStreamClosed) {
				t.Errorf("a stream into a source: %v", err)
			}
			return d.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
	})
}
