package dialog

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/tracing"
)

// Info says what a dialog is doing that has not ended on both sides.
type Info struct {
	// Endpoint is "" if the dialog is relayed to somebody further away.
	Endpoint string `json:"endpoint,omitempty"`
	Kind     string `json:"kind,omitempty"`
	// Role is opener, callee, or relay, of a dialog of others that passes through here.
	Role string `json:"role"`
	// Peer is the other actor: its path, if others relay to it. Of a relay it is the callee.
	Peer  string    `json:"peer"`
	Since time.Time `json:"since,omitzero"`
	// Phase is where this side stands, as the state machine has it.
	Phase string `json:"phase,omitempty"`
	// Waits is what this side's task waits for, as far as the dialog knows.
	Waits string `json:"waits,omitempty"`
	// Stuck is that the callee was told to end, and has not in time.
	Stuck bool `json:"stuck,omitempty"`
	// Sent and Received are messages of its stream, and Queued those that have come and were not taken.
	Sent     uint64 `json:"sent,omitempty"`
	Received uint64 `json:"received,omitempty"`
	Queued   int    `json:"queued,omitempty"`
	// Credit is how many messages may be sent before the sender waits.
	Credit int `json:"credit,omitempty"`
}

// The roles.
const (
	RoleOpener = "opener"
	RoleCallee = "callee"
	RoleRelay  = "relay"
)

// moment is a time in hundredths of a second since started, for some hundred days: dialogs are small.
type moment uint32

// started is when this program began.
var started = tracing.Started

// momentOf is a time since started.
func momentOf(since time.Duration) moment { return moment(since / (10 * time.Millisecond)) }

func (m moment) time() time.Time { return started.Add(time.Duration(m) * 10 * time.Millisecond) }

// List has the dialogs that have not ended on both sides, the oldest first: so many at most, and how many more there
// are. The runtime's own are left out. Each is looked at by itself while others go on, so that the list need not be of one moment;
// nobody waits for it longer than for a lock.
func (t *Table) List(most int) (open []Info, more int) {
	open = []Info{}
	for _, d := range t.snapshot(false) {
		if !d.runtime() {
			open = append(open, d.info())
		}
	}
	t.mu.Lock()
	legs := slices.Collect(maps.Values(t.legs))
	t.mu.Unlock()
	for _, l := range legs {
		open = append(open, l.info())
	}
	slices.SortFunc(open, func(a, b Info) int { return a.Since.Compare(b.Since) })
	more = max(0, len(open)-most)
	return open[:len(open)-more], more
}

// info is a copy of what the dialog knows. What was sent or received is not in it.
func (d *Dialog) info() Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := Info{
		Endpoint: d.endpoint, Kind: KindName(d.kind), Role: RoleOpener, Peer: d.table.Peer().String(), Since: d.born.time(),
		Phase: strings.ToLower(d.state.Phase.String()), Waits: d.waitsFor(), Stuck: d.stuck,
	}
	if d.callee {
		i.Role = RoleCallee
	}
	if d.far != nil {
		i.Peer = cmp.Or(d.far.Path, d.far.Actor.ToID().String())
	}
	if f := d.flows; f != nil {
		i.Sent, i.Received, i.Queued, i.Credit = f.out.sent, f.in.received, len(f.in.queue), f.credit()
	}
	return i
}

// waitsFor is what this side's task waits for; "" if that is not known. The caller holds mu.
func (d *Dialog) waitsFor() string {
	switch {
	case d.flows != nil && d.in.senders > 0:
		return "room for a message"
	case d.flows != nil && d.in.receivers > 0:
		return "a message"
	case d.callee && !d.complete:
		return "its arguments"
	case d.callee || d.done:
		return ""
	case d.state.Phase == Opening:
		return "its start"
	case d.kind == Func:
		return "its answer"
	case d.state.Phase == Leaving, d.state.Phase == Draining:
		return "its end"
	}
	return ""
}

// info is that of a dialog whose ends are elsewhere: here is known who is to have it, and how much has passed.
func (l *leg) info() Info {
	l.relay.mu.Lock()
	defer l.relay.mu.Unlock()
	return Info{Role: RoleRelay, Peer: l.relay.target, Endpoint: l.relay.endpoint, Since: l.relay.born.time(), Sent: l.relay.sent[callee]}
}

// waiting counts a goroutine that begins to wait, or ends. It costs a lock where something has to be waited for
// anyway, and nothing where not.
func (d *Dialog) waiting(who *uint8, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*who = uint8(max(0, min(int(*who)+by, 255)))
}
