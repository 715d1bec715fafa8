package dialog

import (
	"cmp"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// relayed are the dialogs of others that a peer was given, all of them and by shares. It
// belongs to the peer's table, whose mu guards it. A share that has no dialogs is not kept.
type relayed struct {
	all    guests
	shares map[share]guests
}

// share are the dialogs that have come over one link, or those that are for one actor. Each
// dialog is in two of them. The first kind is against openers that take all they can get,
// whatever names they invent for those below them; the second against callees that never end,
// and keep the places of those who have called them.
type share struct {
	from *Table
	to   string
}

func (r *relay) shares() [2]share { return [2]share{{from: r.legs[opener].table}, {to: r.target}} }

// enter counts a dialog, or refuses it. At most half of what the peer takes is for the dialogs
// of others, which leaves room for this side's own; and no share of that may have more than is
// left, which leaves room for those who come later, whatever one opener or one callee does.
func (g *relayed) enter(t *Table, r *relay) error {
	dialogs, bytes := t.link.PeerTakes()
	for _, s := range r.shares() {
		has := g.shares[s]
		if has.dialogs >= (dialogs+1)/2-g.all.dialogs || has.bytes >= (bytes+1)/2-g.all.bytes {
			return fmt.Errorf("%w: %d dialogs, with %d bytes of arguments, are relayed from %v to %v, of those %d, with %d bytes, over the same link or to the same actor, which is all that is relayed of them",
				fault.ErrOverloaded, g.all.dialogs, g.all.bytes, t.Self(), t.Peer(), has.dialogs, has.bytes)
		}
	}
	g.all.add(r.weight)
	for _, s := range r.shares() {
		has := g.shares[s]
		has.add(r.weight)
		g.shares[s] = has
	}
	return nil
}

func (g *relayed) remove(r *relay) {
	g.all.remove(r.weight)
	for _, s := range r.shares() {
		has := g.shares[s]
		if has.remove(r.weight); has.dialogs > 0 {
			g.shares[s] = has
		} else {
			delete(g.shares, s)
		}
	}
}

// enter is add for a dialog that others have opened.
func (t *Table) enter(l *leg, start *wire.Frame) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := cmp.Or(t.lost, t.closing); err != nil {
		return err
	}
	if err := t.relayed.enter(t, l.relay); err != nil {
		return err
	}
	l.id = t.begin(start)
	t.legs[l.id] = l
	t.counters.relayed.Add(1)
	return nil
}
