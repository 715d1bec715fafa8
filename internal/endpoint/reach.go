package endpoint

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// Reach finds the dialogs of the link to an actor, as they are now: an actor that was restarted
// has another link, so the table must be asked for anew by each call. It may wait until the
// actor is up, for as long as its ctx lasts. It is what every contract.Portal has inside, out
// of programs' sight; by itself it is one, too.
type Reach func(ctx context.Context) (dialog.Target, error)

// Table returns the dialogs.
func (r Reach) Table(ctx context.Context) (dialog.Target, error) { return r(ctx) }

// To leads to the actor at the other end of one link, and not to its successors.
func To(t *dialog.Table) Reach {
	return func(context.Context) (dialog.Target, error) { return t.To(nil), nil }
}
