package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Spread is a portal to all actors of a name together, such as the replicas of one: each
// dialog goes to the one that has the fewest of this portal's dialogs under way, and to one
// after the other where these are as many. Of a path, those count that share it but for their
// number: with "census/parser" all parsers of the census.
//
// It looks up anew for each dialog, as [ByName] does, and waits as that does while none is
// ready; so it follows restarts and scaling. Where a dialog is refused because the actor ends,
// is gone, or has no room for it, the next one is tried. One that may have begun is never
// begun again: it fails with what became of its actor, and the caller knows what may be done
// twice. [contract.ContextEndpoint.OpenIn] tries others only until it has returned.
func Spread(ctx context.Context, name string) contract.Portal {
	return newSpread(ctx, name, nil)
}

// ByKey is [Spread] with all dialogs of a key to one actor, for as long as that is ready, from
// whichever portal of the same name and key: what it keeps for the key is found there again.
// Of the keys of one that goes each of the others gets some, and gives them back to the one
// that comes at its path.
func ByKey(ctx context.Context, name, key string) contract.Portal {
	return newSpread(ctx, name, &key)
}

func newSpread(ctx context.Context, name string, key *string) contract.Portal {
	if strings.Contains(name, "/") && !strings.Contains(treepath.Last(name), "#") {
		name += "#"
	}
	s := &spread{r: From(ctx), name: name, key: key, busy: map[string]int{}}
	return endpoint.Reach(func(ctx context.Context) (dialog.Target, error) {
		return (&attempt{spread: s, tried: map[string]error{}}).begin(ctx)
	})
}

// spread is what the dialogs of one portal share. It counts its own dialogs only: what an
// actor has to do for others, it could know only by asking, and callers that all believe the
// same old answer would all go to the same actor. Each sees that an actor is slow by what it
// has under way there itself.
//
// Nothing follows the directory in the background, and so there is nothing to close and
// nothing that could be out of date: a lookup finds who is ready now, and who has gone since
// refuses. A dialog that is refused is rare, and costs one more lookup.
//
// It holds no actor, and ends with the portal. mu guards busy,
// which has an entry only while dialogs are under way, and last.
type spread struct {
	r    Registry
	name string
	key  *string // nil: to whom has the least to do

	mu   sync.Mutex
	busy map[string]int // dialogs under way, by the process's UUID
	last string         // the path of the one that was chosen last
}

// attempt is one dialog, from its first callee to the one that begins it, or to the failure
// that its caller gets. Who has refused it is remembered by process, so that the next process
// of the same actor is another one. Its caller owns it, and nobody else uses it.
type attempt struct {
	*spread
	tried map[string]error // processes that have refused it, and with what
	why   error            // what the last one has refused with
	now   string           // the process that it is with
}

// begin finds the next one to ask. A portal to a process that is gone says so at once, and so
// this waits only where choose finds nobody. What the last one has refused with is told as
// well, since that nobody is left does not explain itself.
func (a *attempt) begin(ctx context.Context) (t dialog.Target, err error) {
	if a.r == nil {
		return t, errNoDirectory
	}
	for {
		p, err := await(ctx, a.r, a.name, false, a.choose)
		switch {
		case errors.Is(err, ErrNotFound) && a.why != nil:
			return t, fmt.Errorf("%w; the last one has refused: %w", err, a.why)
		case err != nil:
			return t, err
		}
		if t, err = p.Table(ctx); err == nil {
			t.Over = a.over
			return t, nil
		}
		if a.over(err) == nil {
			return t, err
		}
	}
}

// over takes note that the dialog is not with its process any more. What would be refused by
// the others as well, such as an endpoint that is not served or a caller that is not allowed,
// is told to the caller at once, and so is the end of its ctx.
func (a *attempt) over(unbegun error) (next func(context.Context) (dialog.Target, error)) {
	a.mu.Lock()
	if a.busy[a.now]--; a.busy[a.now] == 0 {
		delete(a.busy, a.now)
	}
	a.mu.Unlock()
	passing := []error{fault.ErrActorClosing, fault.ErrActorLost, fault.ErrActorDown, fault.ErrOverloaded, ErrStale, ErrNotFound}
	if !slices.ContainsFunc(passing, func(target error) bool { return errors.Is(unbegun, target) }) {
		return nil
	}
	a.tried[a.now], a.why = unbegun, unbegun
	return a.begin
}

// choose picks one, and counts the dialog as its own from then on: of many that begin at once
// each sees the others. It picks one that has not refused. When all that are there have,
// others are waited for, unless one of them has too much to do, and so is still there.
func (a *attempt) choose(callable []*Portal) (*Portal, error) {
	var left []*Portal
	var full error
	for _, p := range callable {
		switch refusal, tried := a.tried[p.Entry.Actor.UUID]; {
		case !tried:
			left = append(left, p)
		case errors.Is(refusal, fault.ErrOverloaded):
			full = refusal
		}
	}
	if len(left) == 0 {
		return nil, full // without one, there is none yet
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	best := slices.MinFunc(left, a.compare)
	a.now, a.last = best.Entry.Actor.UUID, best.Entry.Path
	a.busy[a.now]++
	return best, nil
}

// compare orders two by who is to be chosen first: of a key, by a number that only the key and
// the path make (rendezvous hashing); else by what they have to do, and then those behind the
// last one. The caller holds mu.
func (a *attempt) compare(p, q *Portal) int {
	if a.key != nil {
		return cmp.Compare(weight(*a.key, p.Entry.Path), weight(*a.key, q.Entry.Path))
	}
	return cmp.Or(
		cmp.Compare(a.busy[p.Entry.Actor.UUID], a.busy[q.Entry.Actor.UUID]),
		cmp.Compare(a.turn(p), a.turn(q)),
		strings.Compare(p.Entry.Path, q.Entry.Path))
}

// turn orders those that have as much to do. Paths are compared and not counted, so that all
// have their turn while replicas come and go. It is 0 for those behind the one that was chosen
// last, in the order of their paths, and 1 for the others.
func (a *attempt) turn(p *Portal) int {
	if p.Entry.Path > a.last {
		return 0
	}
	return 1
}

// weight is a hash (FNV-1a, and the end of MurmurHash3) whose bits the last letters change as
// well as the first: the paths of replicas differ in nothing else. All callers have to find
// the same, whatever program they are.
func weight(key, path string) uint64 {
	h := uint64(14695981039346656037)
	for _, text := range []string{key, "\x00", path} {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * 1099511628211
		}
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
