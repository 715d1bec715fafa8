package dialog

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
)

// Stats counts what the dialogs of a link have done since it began. The
// numbers are read one by one, while dialogs come and go: they need not be of
// the very same moment.
type Stats struct {
	Opened   uint64 `json:"opened"`   // dialogs that this side has opened, the runtime's own among them
	Accepted uint64 `json:"accepted"` // dialogs that the peer has opened, those that were refused among them
	Relayed  uint64 `json:"relayed"`  // dialogs of others that were passed on to the peer
	Open     int    `json:"open"`     // dialogs that have not ended on both sides, now

	MessagesOut uint64 `json:"messages_out"` // of streams; arguments and results are none
	MessagesIn  uint64 `json:"messages_in"`

	// Waits are the Sends that had to wait for the peer's buffer, or for its
	// verdict.
	Waits uint64 `json:"waits"`
	// Overruns are the dialogs that failed here because the buffer of this
	// side was full, and nobody was to wait.
	Overruns uint64 `json:"overruns"`
	// Late are frames that were dropped because their dialog was over. Some
	// are normal: they crossed the ending.
	Late uint64 `json:"late"`
	// Stuck are the tasks of the peer that were told to end and did not within
	// the cancel bound. Those that have not ended to this day are
	// Table.Stuck's.
	Stuck uint64 `json:"stuck"`

	Link link.Stats `json:"link"`
}

// Stats returns the counters of this side. It may be called at any time, and
// waits for no dialog; after the end of the link they stay what they were.
func (t *Table) Stats() Stats {
	c := &t.counters
	return Stats{
		Opened: c.opened.Load(), Accepted: c.accepted.Load(), Relayed: c.relayed.Load(), Open: t.Len(),
		MessagesOut: c.messagesOut.Load(), MessagesIn: c.messagesIn.Load(),
		Waits: c.waits.Load(), Overruns: c.overruns.Load(), Late: c.late.Load(), Stuck: c.stuck.Load(),
		Link: t.link.Stats(),
	}
}

// Len is the number of dialogs that have not ended on both sides, those among
// them that are relayed. It is 0 again after all scopes have been left, which
// tests for leaks rely on.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dialogs) + len(t.legs)
}

// Load is what goes on at this side at the moment, and what the tasks of its
// endpoints have taken. The runtime's own do not count.
type Load struct {
	Open      int // dialogs that have not ended on both sides
	Unread    int // messages that have come, and were not taken
	Queued    int // tasks that wait to enter (Enter)
	Held      int // Sends that wait for the peer's buffer, or for its verdict
	Endpoints []EndpointLoad
}

// EndpointLoad is one endpoint that this side serves. Tasks count in it when
// they have ended, in Took by the bounds of package histogram.
type EndpointLoad struct {
	Name    string
	Running int           // tasks that have not ended; those that wait to begin are among them
	Failed  uint64        // tasks that have ended with an error of their own, and not with what they were told
	Took    []uint64      // how many tasks have ended, by what they took
	Sum     time.Duration // what all of them took
}

// Load looks at all dialogs, one after the other. It may be called at any
// time.
func (t *Table) Load() Load {
	l := Load{Queued: int(t.counters.queued.Load()), Held: int(t.counters.held.Load())}
	running := map[string]int{}
	for _, d := range t.snapshot(false) {
		if d.runtime() {
			continue
		}
		l.Open++
		if d.callee {
			running[d.endpoint]++
		}
		if d.flows != nil {
			d.mu.Lock()
			l.Unread += len(d.in.queue)
			d.mu.Unlock()
		}
	}
	t.mu.Lock()
	paces := maps.Clone(t.paces)
	t.mu.Unlock()
	for name, p := range paces {
		e := EndpointLoad{Name: name, Running: running[name], Failed: p.failed.Load()}
		e.Took, e.Sum = p.took.Read()
		l.Endpoints = append(l.Endpoints, e)
	}
	return l
}

// counters are added to where things happen, on any goroutine and with or
// without a lock. But for the last two they only go up; they may be read at
// any time.
type counters struct {
	opened, accepted, relayed atomic.Uint64
	messagesOut, messagesIn   atomic.Uint64
	waits, overruns           atomic.Uint64
	late, stuck               atomic.Uint64

	queued, held atomic.Int64 // Load has them
}
