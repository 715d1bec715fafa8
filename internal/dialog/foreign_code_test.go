package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// nosy is an author's error whose methods do something before they answer.
type nosy struct{ look func() }

func (e *nosy) Error() string        { e.look(); return "nosy" }
func (e *nosy) Is(target error) bool { e.look(); return target == errBoom }
func (e *nosy) Unwrap() error        { e.look(); return nil }

// once lets the first caller do f, and none wait for it.
func once(f func()) func() {
	var done atomic.Bool
	return func() {
		if !done.Swap(true) {
			f()
		}
	}
}

// looks are what an author's error may look at: its own context, and what somebody
// else holds whoever waits for the dialog.
var looks = map[string]func(ctx context.Context, d *dialog.Dialog, held chan struct{}){
	"Wait":          func(ctx context.Context, d *dialog.Dialog, _ chan struct{}) { _, _ = d.Wait(ctx) },
	"Wait for ever": func(_ context.Context, d *dialog.Dialog, _ chan struct{}) { _, _ = d.Wait(context.Background()) },
	"Cancel":        func(ctx context.Context, d *dialog.Dialog, _ chan struct{}) { _ = d.Cancel(ctx, "nosy") },
	"Send":          func(ctx context.Context, d *dialog.Dialog, _ chan struct{}) { _ = d.SourceStream().Send(ctx, nil) },
	"OpenStream": func(_ context.Context, d *dialog.Dialog, _ chan struct{}) {
		_, _ = d.OpenStream(dialog.StreamOptions{})
	},
	"Remote":           func(_ context.Context, d *dialog.Dialog, _ chan struct{}) { _ = d.Remote() },
	"Cancelled":        func(_ context.Context, d *dialog.Dialog, _ chan struct{}) { _ = d.Cancelled() },
	"what others hold": func(_ context.Context, _ *dialog.Dialog, held chan struct{}) { <-held },
}

// R1: the methods of an author's error may use the very context that fails with it, or
// wait for whoever waits for that. Everything ends, and nobody else notices.
func TestR1_N19_AnErrorMayLookAtItsOwnContext(t *testing.T) {
	for name, look := range looks {
		for who, fails := range map[string]func(t *testing.T, p *pair, e *nosy, use func(context.Context, *dialog.Dialog)){
			"the body": func(t *testing.T, p *pair, e *nosy, use func(context.Context, *dialog.Dialog)) {
				ends(t, open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					use(ctx, d)
					return e
				}), e)
			},
			"the ctx": func(t *testing.T, p *pair, e *nosy, use func(context.Context, *dialog.Dialog)) {
				ctx, cancel := context.WithCancelCause(t.Context())
				ends(t, open(ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					use(ctx, d)
					cancel(e)
					<-ctx.Done()
					return ctx.Err()
				}), e)
			},
			"a task": func(t *testing.T, p *pair, e *nosy, use func(context.Context, *dialog.Dialog)) {
				ends(t, open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					use(ctx, d)
					d.Go(func(context.Context) error { return e })
					<-ctx.Done()
					return ctx.Err()
				}), e)
			},
			"the link": func(t *testing.T, p *pair, e *nosy, use func(context.Context, *dialog.Dialog)) {
				ends(t, open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					use(ctx, d)
					p.parent.Lose(e)
					p.parent.Link().Abort(errBoom)
					<-ctx.Done()
					return ctx.Err()
				}), e)
			},
		} {
			t.Run(who+" fails, "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPair(t, started(waitsBriefly))
					held := make(chan struct{})
					e := &nosy{look: func() {}}
					var holder *task.Worker
					fails(t, p, e, func(ctx context.Context, d *dialog.Dialog) {
						e.look = once(func() { look(ctx, d, held) })
						holder = task.Start(func() { // holds what the error wants while it uses the link
							defer close(held)
							<-ctx.Done()
							_, _ = call(t.Context(), p.parent, "")
							p.parent.CancelTasks(errBoom)
						})
					})
					holder.Wait()
				})
			})
		}
	}
}

// waitsBriefly is waits for a callee that nobody may tell: a call without Started.
func waitsBriefly(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if d.Request().Kind == dialog.Func {
		return nil, nil
	}
	return waits(ctx, d)
}

// ends looks at a scope's failure.
func ends(t *testing.T, got error, want *nosy) {
	t.Helper()
	if e, ok := errors.AsType[*nosy](got); !ok || e != want {
		t.Errorf("the scope's failure: %v", got)
	}
}

// The callee's error may do so as well; the opener waits for no longer than that.
func TestR1_N19_ACalleesErrorMayLookAtItsOwnContext(t *testing.T) {
	for _, name := range []string{"Cancel", "Send", "OpenStream"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				return nil, &nosy{look: once(func() { looks[name](ctx, d, nil) })}
			}))
			err := open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return ctx.Err()
			})
			if !errors.Is(err, errBoom) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// An error that does not answer at all is reported without its text, after a second.
func TestR1_AnErrorThatNeverAnswersIsToldByItsType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			told = context.Cause(ctx)
			return nil, ctx.Err()
		}))
		held := make(chan struct{})
		e := &nosy{look: func() { <-held }}
		ctx, cancel := context.WithCancelCause(t.Context())
		scope := task.Start(func() {
			_ = open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				cancel(e)
				<-ctx.Done()
				return nil
			})
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var remote *fault.RemoteError
		if !errors.As(told, &remote) || remote.Type != "*dialog_test.nosy" {
			t.Errorf("the callee was told %v", told)
		}
		close(held)
		scope.Wait()
	})
}

// heavy is a registered error whose fields take long to read.
type heavy struct{ N int }

var reading chan struct{} // closed: no reader waits

func (e *heavy) Error() string { return fmt.Sprintf("heavy %d", e.N) }

func (e *heavy) UnmarshalCBOR(b []byte) error {
	<-reading
	var n int
	err := codecs.CBOR.Unmarshal(b, &n)
	e.N = n
	return err
}

func (e *heavy) MarshalCBOR() ([]byte, error) { return []byte{7}, nil }

func init() { fault.Type[heavy]("dialog_test.heavy") }

// R3: an error's fields are read by whoever looks, and once: calls beside it go on
// meanwhile, and so does the dialog that failed.
func TestR3_N19_ReadingAnErrorHoldsUpNobody(t *testing.T) {
	reading = make(chan struct{})
	p := newPair(t, tasks{
		"task": func(context.Context, *dialog.Dialog) ([]byte, error) { return nil, &heavy{} },
		"well": func(context.Context, *dialog.Dialog) ([]byte, error) { return []byte("well"), nil },
	}, patient)
	_, err := call(t.Context(), p.parent, "")
	scope := p.parent.Scope(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Source}, func(ctx context.Context, _ *dialog.Dialog) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	value, other := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "well", Kind: dialog.Func})
	if other != nil || string(value) != "well" {
		t.Errorf("the call beside it: %q, %v", value, other)
	}
	close(reading)
	for _, err := range []error{err, scope} {
		first, ok := errors.AsType[*heavy](err)
		second, _ := errors.AsType[*heavy](err)
		if !ok || first.N != 7 || first != second {
			t.Errorf("read %v, then %v of %v", first, second, err)
		}
	}
}
