package directory

import "github.com/seed-2ba35074/trellis/internal/task"

// follower is one reader's place in the events of a [Memory], whose lock guards it, or in those of
// actors of a name. What it is
// behind waits in its ring. The oldest half is lost when that is full; it is folded, so that
// the reader can be told what has become of it (take).
type follower struct {
	past    Table   // the fold of what is not in the ring: what was given, and what is lost
	given   Table   // the fold of what was given; set while something is lost
	lost    int     // events since the last take
	ring    []Event // the oldest first
	most    int     // events in the ring
	name    string  // whose events it gets; "" is everybody's
	wake    chan struct{}
	many    chan struct{} // gets something when the ring is a quarter full, or no more events come: its reader rests no longer then
	pace    task.Pace     // the reader's own
	nothing bool          // no more events come
}

// put adds an event. It never waits.
func (f *follower) put(e Event) {
	if !e.named(f.name) {
		return
	}
	if len(f.ring) == f.most {
		f.lose(f.most / 2)
	}
	f.ring = append(f.ring, e)
	signal(f.wake)
	if len(f.ring) >= f.most/4 {
		signal(f.many)
	}
}

// finish says that no more events come.
func (f *follower) finish() {
	f.nothing = true
	signal(f.wake)
	signal(f.many)
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // the reader has not looked since the last one
	}
}

// lose drops the oldest n events. It takes half of the ring at once, since the table is copied
// for it.
func (f *follower) lose(n int) {
	if f.lost == 0 {
		f.given = f.past.clone()
	}
	for _, e := range f.ring[:n] {
		f.past.Apply(e)
	}
	f.lost += n
	clear(f.ring[:n])
	f.ring = f.ring[n:]
}

// take gives what comes next: events, and how many were lost before them. Those that it gives
// for lost ones are not counted as lost; there may be none, if nothing is different without them.
func (f *follower) take() (events []Event, lost int) {
	if f.lost > 0 {
		events, lost = f.past.since(&f.given), f.lost
		for _, e := range events {
			if e.n > 0 {
				lost--
			}
		}
		f.given, f.lost = Table{}, 0
		return events, lost
	}
	events, f.ring = f.ring, nil
	for _, e := range events {
		f.past.Apply(e)
	}
	return events, 0
}
