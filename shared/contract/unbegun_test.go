package contract_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// fallback is a portal to one actor, and to another one for what the first certainly has not begun. It counts the
// dialogs that are over.
func fallback(first, second *pair.Portal, over *int) contract.Portal {
	to := func(p *pair.Portal, next func(context.Context) (dialog.Target, error)) endpoint.Reach {
		return func(ctx context.Context) (dialog.Target, error) {
			t, err := p.Table(ctx)
			t.Over = func(unbegun error) func(context.Context) (dialog.Target, error) {
				*over++
				if unbegun == nil {
					return nil
				}
				return next
			}
			return t, err
		}
	}
	return to(first, to(second, nil))
}

// What the first actor refuses, the second one does, once, whatever kind of endpoint it is. What the first has begun
// it alone does, also if it fails.
func TestWhatHasNotBegunMayGoElsewhere(t *testing.T) {
	one := contract.Func[int, int]("one")
	many := contract.Source[int, int]("many")
	linked := contract.Context[int, int, none, none, int]("linked")
	serve := func(begun *int, err error) []contract.Handler {
		return []contract.Handler{
			one.Handle(func(context.Context, int) (int, error) { *begun++; return 1, err }),
			many.Handle(func(context.Context, int) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) { *begun++; yield(1, err) }
			}),
			linked.Handle(func(_ context.Context, _ int, c *contract.Callee[int, none, none]) (int, error) {
				*begun++
				if err != nil {
					return 0, err
				}
				return 1, c.Started(1)
			}),
		}
	}
	calls := map[string]func(ctx context.Context, p contract.Portal) (int, error){
		"func": func(ctx context.Context, p contract.Portal) (int, error) { return one.Call(ctx, p, 1) },
		"source": func(ctx context.Context, p contract.Portal) (n int, err error) {
			for n, err = range many.Stream(ctx, p, 1) {
			}
			return n, err
		},
		"context": func(ctx context.Context, p contract.Portal) (int, error) {
			return linked.Open(ctx, p, 1, func(context.Context, *contract.Opener[int, none, none, int]) error { return nil })
		},
	}
	for kind, call := range calls {
		var begun, over int
		refusing, serving := pair.Serve(t), pair.Serve(t, serve(&begun, nil)...)
		if n, err := call(t.Context(), fallback(refusing, serving, &over)); n != 1 || err != nil || begun != 1 || over != 2 {
			t.Errorf("%s: %d, %v; begun %d times, and %d dialogs are over, want 1 and 2", kind, n, err, begun, over)
		}
		var failed int
		failing := pair.Serve(t, serve(&failed, errBoom)...)
		over = 0
		if _, err := call(t.Context(), fallback(failing, serving, &over)); err == nil || failed != 1 || begun != 1 || over != 1 {
			t.Errorf("%s: what had begun and failed gives %v, begun there %d times, and %d elsewhere; %d are over", kind, err, failed, begun-1, over)
		}
		over = 0
		if _, err := call(t.Context(), fallback(refusing, refusing, &over)); err == nil || over != 2 {
			t.Errorf("%s: when nobody serves it: %v, %d are over", kind, err, over)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBoom)
	for kind, call := range calls {
		over := 0
		if _, err := call(ctx, fallback(pair.Serve(t), pair.Serve(t), &over)); !errors.Is(err, errBoom) || over != 2 {
			t.Errorf("%s: with a ctx that is over: %v, %d are over", kind, err, over)
		}
	}
}
