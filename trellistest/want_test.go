package trellistest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// full is an author's error.
type full struct{ Left int }

func (f *full) Error() string { return fmt.Sprintf("only %d bytes are left", f.Left) }

func init() { fault.Type[full]("trellistest.full") }

func TestWantError(t *testing.T) {
	a := trellistest.Serve(t, greet.Handle(func(_ context.Context, name string) (string, error) {
		if name == "" {
			return "", errors.New("nobody")
		}
		return "", fmt.Errorf("greet: %w", &full{Left: len(name)})
	}))
	_, err := greet.Call(t.Context(), a, "Ada")
	if f := trellistest.WantError[*full](t, err); f.Left != 3 {
		t.Errorf("%+v", f)
	}
	_, err = greet.Call(t.Context(), a, "")
	wantOne(t, record(func(t testing.TB) { trellistest.WantError[*full](t, err) }),
		"expected an error of type *trellistest_test.full", "*fault.RemoteError: ", "nobody", "both programs register it")
	wantOne(t, record(func(t testing.TB) { trellistest.WantError[*full](t, nil) }), "and got no error")
}

func TestWantCancelledBy(t *testing.T) {
	cause := make(chan error, 1)
	a := trellistest.Serve(t, upload.Handle(func(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
		if err := c.Started(struct{}{}); err != nil {
			return 0, err
		}
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return 0, ctx.Err()
	}))
	_, err := upload.Open(t.Context(), a, struct{}{}, func(ctx context.Context, c *uploadOpener) error { return c.Cancel(ctx, "enough") })
	if err != nil {
		t.Error(err)
	}
	err = <-cause
	trellistest.WantCancelledBy(t, err, "test", "enough")
	trellistest.WantCancelledBy(t, err, "test", "")
	wantOne(t, record(func(t testing.TB) { trellistest.WantCancelledBy(t, err, "host", "enough") }), `"host" has cancelled, because "enough"`, "*fault.ContextCancelled: ")
	wantOne(t, record(func(t testing.TB) { trellistest.WantCancelledBy(t, err, "test", "why") }), `because "why"`)
	wantOne(t, record(func(t testing.TB) { trellistest.WantCancelledBy(t, context.Canceled, "test", "") }), "context canceled")
}

// What is under way counts as arrived: credit that takes its time is waited for, and a number that
// only is there meanwhile is not what was asked for.
func TestWantCreditWaitsForWhatIsUnderWay(t *testing.T) {
	trellistest.Bubble(t, func(t *testing.T) {
		a := trellistest.Serve(t, upload.Handle(func(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
			if err := c.Started(struct{}{}); err != nil {
				return 0, err
			}
			stream, err := c.Stream(contract.StreamOptions{Window: contract.Window{Messages: 1}})
			if err != nil {
				return 0, err
			}
			n := 0
			for _, err := range stream.All(ctx) {
				if n++; err != nil {
					return n, err
				}
			}
			return n, nil
		}))
		a.DelayEach(func(_ trellistest.Direction, frame int) time.Duration { return time.Duration(frame) * time.Hour })
		_, err := upload.Open(t.Context(), a, struct{}{}, func(ctx context.Context, c *uploadOpener) error {
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			defer stream.CloseSend()
			trellistest.WantCredit(t, a, upload, trellistest.ToActor, 1)
			if err := stream.Send(ctx, "chunk"); err != nil {
				return err
			}
			wantOne(t, record(func(t testing.TB) { trellistest.WantCredit(t, a, upload, trellistest.ToActor, 0) }),
				"upload: expected credit for 0 more messages to the actor, and there is credit for 1")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Frames that are held up do not come by waiting.
func TestWantCreditDoesNotWaitForAStall(t *testing.T) {
	trellistest.Bubble(t, func(t *testing.T) {
		a := trellistest.Serve(t, upload.Handle(func(_ context.Context, n struct{}, c *uploadCallee) (int, error) { return 0, c.Started(n) }))
		a.Stall(trellistest.ToActor)
		done := make(chan error)
		go func() {
			_, err := upload.Open(t.Context(), a, struct{}{}, func(context.Context, *uploadOpener) error { return nil })
			done <- err
		}()
		begun := time.Now()
		trellistest.WantCredit(t, a, upload, trellistest.ToActor, 0)
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("it has waited for %v", waited)
		}
		a.Resume(trellistest.ToActor)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWantCredit(t *testing.T) {
	for name, run := range modes {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				take := make(chan struct{})
				a := trellistest.Serve(t, upload.Handle(func(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
					if err := c.Started(struct{}{}); err != nil {
						return 0, err
					}
					stream, err := c.Stream(contract.StreamOptions{Window: contract.Window{Messages: 2}})
					if err != nil {
						return 0, err
					}
					<-take
					n := 0
					for _, err := range stream.All(ctx) {
						if n++; err != nil {
							return n, err
						}
					}
					return n, nil
				}))
				credit := func(t testing.TB, n int) {
					t.Helper()
					trellistest.WantCredit(t, a, upload, trellistest.ToActor, n)
				}
				refused := func(n int, words string) {
					t.Helper()
					if name == "bubble" { // in real time it waits for as long as the credit may take to come
						wantOne(t, record(func(t testing.TB) { credit(t, n) }), words)
					}
				}
				refused(0, "upload: expected one open context, and there are 0")
				n, err := upload.Open(t.Context(), a, struct{}{}, func(ctx context.Context, c *uploadOpener) error {
					stream, err := c.Stream(contract.StreamOptions{})
					if err != nil {
						return err
					}
					defer stream.CloseSend()
					for left := 2; left > 0; left-- {
						credit(t, left)
						if err := stream.Send(ctx, "chunk"); err != nil {
							return err
						}
					}
					credit(t, 0)
					refused(2, "upload: expected credit for 2 more messages to the actor, and there is credit for 0")
					close(take)
					return stream.Send(ctx, "chunk")
				})
				if err != nil || n != 3 {
					t.Errorf("%d, %v", n, err)
				}
			})
		})
	}
}
