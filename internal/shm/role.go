package shm

import "sync/atomic"

// One goroutine at a time reads a [Conn]. Most often that is one that does nothing else, the
// reader. Where somebody waits for what comes, it may read itself ([Conn.Lead]), if nobody else
// does: that saves waking the reader, which would wake it. Meanwhile the reader waits to be woken,
// as it does when nobody reads.

// role says who reads.
type role uint32

const (
	standing role = iota // the reader
	vacant               // nobody: the reader waits to be woken
	led                  // somebody else, the leader; the reader waits to be woken
	wanted               // the leader, which the reader waits for
	roles
)

// roleEvent is what may happen to a role.
type roleEvent uint8

const (
	rests  roleEvent = iota // the reader has found nothing, and is about to wait
	wakes                   // it has been woken, and reads if nobody else does
	wants                   // it has been woken by what only it can read
	leads                   // somebody else wants to read
	leaves                  // the leader reads no more
	roleEvents
)

// roleRule is where an event leads to. yes says that whoever asked reads, or that the leader, if
// that leaves, has to let the reader go on.
type roleRule struct {
	next role
	yes  bool
}

// roleTable is how the reading goes from one to another, a pure step. The reader alone makes the
// first three events happen and does not read in between, the leader the last; so some cells are
// never used.
var roleTable = [roles][roleEvents]roleRule{
	// for rests, wakes, wants, leads and leaves:
	standing: {{vacant, false}, {standing, true}, {standing, true}, {standing, false}, {standing, false}},
	vacant:   {{vacant, false}, {standing, true}, {standing, true}, {led, true}, {vacant, false}},
	led:      {{led, false}, {led, false}, {wanted, false}, {led, false}, {vacant, false}},
	wanted:   {{wanted, false}, {wanted, false}, {wanted, false}, {wanted, false}, {standing, true}},
}

// roleBox holds the role of one end of a connection, which its two goroutines change in one piece.
type roleBox struct{ now atomic.Uint32 }

// do makes an event happen, and gives what the table says of it.
func (b *roleBox) do(e roleEvent) (yes bool) {
	for {
		was := b.now.Load()
		r := roleTable[was][e]
		if b.now.CompareAndSwap(was, uint32(r.next)) {
			return r.yes
		}
	}
}

// is reports whether that is the role at the moment.
func (b *roleBox) is(r role) bool { return role(b.now.Load()) == r }
