package life

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/lease"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// keepLease asks the parent for the actor's lease for as long as the link lasts. Without an answer for
// two thirds of it, the link counts as lost, and the actor ends as it does then; what is left of the process
// when it is over, the kernel kills.
func (l *Life) keepLease(term time.Duration) *task.Worker {
	if term <= 0 {
		close(l.held)
		return task.Start(func() {})
	}
	ask := func(ctx context.Context) (given time.Duration, err error) {
		answer, err := l.table.CallRuntime(ctx, wire.Renew, nil)
		if err == nil {
			err = codecs.CBOR.Unmarshal(answer, &given)
		}
		return given, err
	}
	lost := func() {
		l.table.Link().Abort(fmt.Errorf("no answer for two thirds of its lease of %v", term))
	}
	return task.Start(func() { lease.Keep(term, l.table.Link().Done(), ask, func() { close(l.held) }, lost) })
}
