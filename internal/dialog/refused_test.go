package dialog_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// An opener knows for certain that its callee has not begun, whoever on the way has refused the dialog; and never
// of one that has, whatever that fails with.
func TestAnOpenerKnowsWhatHasNotBegun(t *testing.T) {
	for name, c := range map[string]struct {
		refuse   func(c *trio)
		endpoint string
		unbegun  bool
	}{
		"not sent":               {func(c *trio) { c.first.Refuse(fault.ErrActorClosing) }, "closing", true},
		"refused by the relay":   {func(c *trio) { c.far.Refuse(fault.ErrActorClosing) }, "closing", true},
		"refused by the callee":  {func(c *trio) { c.last.Refuse(fault.ErrActorClosing) }, "closing", true},
		"served by nobody":       {func(*trio) {}, "nothing", true},
		"the task says the same": {func(*trio) {}, "closing", false},
		"the link ends":          {func(*trio) {}, "cut", false},
		"a value":                {func(*trio) {}, "value", false},
	} {
		t.Run(name, func(t *testing.T) {
			var begun atomic.Int32
			var trio *trio
			trio = newTrio(t, tasks{
				"closing": func(context.Context, *dialog.Dialog) ([]byte, error) {
					begun.Add(1)
					return nil, fault.ErrActorClosing
				},
				"cut": func(context.Context, *dialog.Dialog) ([]byte, error) {
					begun.Add(1)
					trio.far.Lose(fault.ErrActorLost)
					return nil, nil
				},
				"value": func(context.Context, *dialog.Dialog) ([]byte, error) {
					begun.Add(1)
					return nil, nil
				},
			})
			c.refuse(trio)
			r := dialog.Request{Endpoint: c.endpoint, Kind: dialog.Func}
			_, err := trio.first.To(trio.toLast).Call(t.Context(), &r)
			if r.Unbegun != c.unbegun || (begun.Load() == 0) != c.unbegun || (err == nil) != (c.endpoint == "value") {
				t.Errorf("unbegun: %v, begun: %d, %v; want %v", r.Unbegun, begun.Load(), err, c.unbegun)
			}
		})
	}
}
