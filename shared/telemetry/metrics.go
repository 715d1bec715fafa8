package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/histogram"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Metrics are the numbers of one actor at one moment. It is a copy, which
// nobody changes. Counters begin with its present process, but for Restarts
// and Deaths, which are of all of its processes. What its host knows of its
// processes is the host's word; the rest is the actor's own, and missing if
// that says nothing: Silent has the reason then.
type Metrics struct {
	// Actor is its path, as in directory.Event; "" is the root of the tree.
	Actor string   `json:"actor"`
	ID    actor.ID `json:"id"`
	// State is a directory.State.
	State string `json:"state"`
	// Since is when its process became ready.
	Since time.Time `json:"since,omitzero"`
	// Joined is as in directory.Event.
	Joined bool `json:"joined,omitempty"`
	// Host is as in directory.Event.
	Host string `json:"host,omitempty"`

	Restarts uint64 `json:"restarts,omitempty"`
	// Deaths are those of its processes, by directory.Cause.
	Deaths map[string]uint64 `json:"deaths,omitempty"`
	// Health is what its last check has found: "ok" or "failed"; "off" if there
	// are none, and "" before the first.
	Health  string  `json:"health,omitempty"`
	Process Process `json:"process,omitzero"`
	// Last is what its last process has used that is dead.
	Last Spent `json:"last,omitzero"`

	Silent string `json:"silent,omitempty"`
	Activity
	Endpoints []Endpoint `json:"endpoints,omitempty"`
}

// Process is what a process uses now. What the system does not tell is 0.
type Process struct {
	// CPU is its processor time, since it began.
	CPU time.Duration `json:"cpu,omitempty"`
	// RSS is its memory, in bytes.
	RSS int64 `json:"rss,omitempty"`
	// Descriptors are those of open files, sockets and the like.
	Descriptors int `json:"descriptors,omitempty"`
}

// Spent is what a process has used that is dead, with the children that it has
// waited for. What the system does not tell is 0.
type Spent struct {
	// PeakRSS is the most memory that it had at one time, in bytes.
	PeakRSS int64         `json:"peak_rss,omitempty"`
	CPU     time.Duration `json:"cpu,omitempty"`
	// OOM is whether the kernel killed it, or one of its children, for lack of
	// memory.
	OOM bool `json:"oom,omitempty"`
}

// Activity is what an actor has said on its links, and what goes on there. All
// actors' dialogs count: calls of a func, sources and contexts alike.
type Activity struct {
	// Opened are the dialogs that it has opened, the runtime's own
	// included.
	Opened uint64 `json:"opened,omitempty"`
	// Accepted are those that others have opened with it, refused ones included.
	Accepted uint64 `json:"accepted,omitempty"`
	// Relayed are those of others that it has passed on.
	Relayed uint64 `json:"relayed,omitempty"`
	// Open are those that have not ended, now, without the runtime's own.
	Open int `json:"open,omitempty"`

	// Messages are those of streams.
	MessagesIn  uint64 `json:"messages_in,omitempty"`
	MessagesOut uint64 `json:"messages_out,omitempty"`
	// Bytes are those of payloads.
	BytesIn  uint64 `json:"bytes_in,omitempty"`
	BytesOut uint64 `json:"bytes_out,omitempty"`

	// Waits are the sends that had to wait for the receiver's credit, or for
	// the link.
	Waits uint64 `json:"waits,omitempty"`
	// Overruns are the dialogs that failed as messages came for which there was
	// no room.
	Overruns uint64 `json:"overruns,omitempty"`
	// Late are the frames that came after the end of their dialog.
	Late uint64 `json:"late,omitempty"`
	// Stuck are the tasks of others that it told to end, and that did not in
	// time.
	Stuck uint64 `json:"stuck,omitempty"`
	// Violations are the frames by which others have broken the protocol.
	Violations uint64 `json:"violations,omitempty"`

	// Unread are the messages that have come and were not taken, now.
	Unread int `json:"unread,omitempty"`
	// Queued are the calls that wait for others of their endpoint to end, now.
	Queued int `json:"queued,omitempty"`
	// Held are the sends that wait for credit, or for the link, now.
	Held int `json:"held,omitempty"`
}

// Endpoint counts the tasks of one endpoint that an actor serves.
type Endpoint struct {
	Name string `json:"name"`
	// Running are the tasks that have not ended, now.
	Running int `json:"running,omitempty"`
	// Failed are those that have ended with an error of their own.
	Failed uint64 `json:"failed,omitempty"`
	// Took is the time of all that have ended, together.
	Took time.Duration `json:"took,omitempty"`
	// Buckets is how many have ended in each of the times between Bounds.
	// Empty ones at the end are left out.
	Buckets []uint64 `json:"buckets,omitempty"`
}

// Ended is how many tasks have ended.
func (e *Endpoint) Ended() uint64 { return histogram.Total(e.Buckets) }

// Bounds are the upper bounds of [Endpoint.Buckets], each included; the last
// bucket has none.
func Bounds() []time.Duration { return append([]time.Duration(nil), histogram.Bounds[:]...) }

// Measure reads the numbers of the actors of a tree, in the order of their
// paths, as they are at this moment: each host asks those that it hosts.
// Nothing is read, or kept, while nobody does so. An actor that does not
// answer within a second is Silent.
//
// ctx is that of a nursery's body, or of the body of host.Join: then the
// numbers are those of the host that was joined, and of all below it. A plugin
// gets fault.ErrNotExposed.
func Measure(ctx context.Context) ([]Metrics, error) {
	measure := ctxvalue.Of[func(context.Context) ([]Metrics, error)](ctx)
	if measure == nil {
		return nil, errors.New("this ctx has no tree whose numbers can be read: expected that of a nursery's body, or of the body of host.Join")
	}
	return measure(ctx)
}

// WithMeasure returns a ctx whose Measure is measure.
func WithMeasure(ctx context.Context, measure func(context.Context) ([]Metrics, error)) context.Context {
	return ctxvalue.With(ctx, measure)
}
