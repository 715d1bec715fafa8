package route

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/histogram"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Numbers of actors are read when somebody wants them, and only then. The root asks each of its
// children, all at once, at a runtime endpoint that every actor serves; a child that hosts others
// asks these before it answers, within a part of the time that it was given, so that one which hangs
// somewhere deep costs nothing but its own row and those below it. Answers have paths that begin at
// whoever gives them: each host puts its child's in front, as it does with events and records.
//
// What comes back is the word of a program that may be anybody's. Therefore the root takes from it
// only numbers, of actors and endpoints that its own directory has already; everything else about
// an actor, its state, its identity, its restarts, it knows from the events.

// Bounds of the numbers that actors are asked for.
const (
	measureBound  = time.Second // in which those have to answer that a host asks
	mostReaders   = 8           // who ask at once on one link; others wait
	mostAnswer    = 4 << 20     // bytes
	mostBelow     = 4096        // actors in an answer; the directory takes no more, either
	mostOfOne     = 32 << 10    // bytes of what is said of one of them
	mostEndpoints = 64          // of each of them
	mostText      = 256         // bytes
)

// Measure gives the numbers of those that a nursery hosts, and of all below
// them, with paths from the actor on that has the nursery, and adds to that
// actor's own what goes on at its links with them. It takes no longer than
// within.
type Measure func(ctx context.Context, own *telemetry.Metrics, within time.Duration) []telemetry.Metrics

// Measure gives the numbers of this actor, without a path, and those of all
// below it behind them.
func (r *Router) Measure(ctx context.Context, within time.Duration) []telemetry.Metrics {
	var own telemetry.Metrics
	var below []telemetry.Metrics
	if r.Up != nil {
		Count(&own, r.Up)
	}
	for _, n := range r.open() {
		below = append(below, n.Measure(ctx, &own, within)...)
	}
	own.Endpoints = slices.DeleteFunc(own.Endpoints, func(e telemetry.Endpoint) bool { return len(e.Name) > mostText })
	slices.SortFunc(own.Endpoints, func(a, b telemetry.Endpoint) int { return strings.Compare(a.Name, b.Name) })
	own.Endpoints = own.Endpoints[:min(len(own.Endpoints), mostEndpoints)]
	return append([]telemetry.Metrics{own}, below...)
}

// Count adds to an actor's numbers what goes on at one of its links.
func Count(m *telemetry.Metrics, t *dialog.Table) {
	s, l := t.Stats(), t.Load()
	m.Opened, m.Accepted, m.Relayed, m.Open = m.Opened+s.Opened, m.Accepted+s.Accepted, m.Relayed+s.Relayed, m.Open+l.Open
	m.MessagesIn, m.MessagesOut = m.MessagesIn+s.MessagesIn, m.MessagesOut+s.MessagesOut
	m.BytesIn, m.BytesOut = m.BytesIn+s.Link.BytesIn, m.BytesOut+s.Link.BytesOut
	m.Waits, m.Overruns, m.Late, m.Stuck = m.Waits+s.Waits, m.Overruns+s.Overruns, m.Late+s.Late, m.Stuck+s.Stuck
	m.Violations += s.Link.Violations
	m.Unread, m.Queued, m.Held = m.Unread+l.Unread, m.Queued+l.Queued, m.Held+l.Held
	for _, e := range l.Endpoints {
		i := slices.IndexFunc(m.Endpoints, func(other telemetry.Endpoint) bool { return other.Name == e.Name })
		if i < 0 {
			i = len(m.Endpoints)
			m.Endpoints = append(m.Endpoints, telemetry.Endpoint{Name: e.Name})
		}
		to := &m.Endpoints[i]
		to.Running, to.Failed, to.Took, to.Buckets = to.Running+e.Running, to.Failed+e.Failed, to.Took+e.Sum, histogram.Sum(to.Buckets, e.Took)
	}
}

// Measured is the task of [wire.Metrics].
func (r *Router) Measured(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if err := d.Enter(mostReaders); err != nil {
		return nil, err
	}
	var q wire.MetricsRequest
	if err := codecs.CBOR.Unmarshal(d.Args(), &q); err != nil {
		return nil, fmt.Errorf("%s: %w", wire.Metrics, err)
	}
	all := r.Measure(ctx, min(q.Within, measureBound))
	return answer(d, all[:min(len(all), 1+mostBelow)])
}

// answer gives numbers as a sequence: whoever reads it takes one actor after
// the other, within bounds.
func answer(d *dialog.Dialog, all []telemetry.Metrics) ([]byte, error) {
	b := wire.NewBuffer(0)
	for i := range all {
		if err := codecs.CBOR.Marshal(b, &all[i], nil); err != nil {
			b.Free()
			return nil, err
		}
	}
	return d.Own(b), nil
}

// answered reads the numbers of so many actors at most.
func answered(endpoint string, payload []byte, most int) (all []telemetry.Metrics, err error) {
	for len(payload) > 0 && len(all) < most {
		var one cbor.RawMessage
		var m telemetry.Metrics
		if payload, err = cbor.UnmarshalFirst(payload, &one); err == nil && len(one) > mostOfOne {
			err = fmt.Errorf("%d bytes of one actor; the limit is %d", len(one), mostOfOne)
		}
		if err == nil {
			err = codecs.CBOR.Unmarshal(one, &m)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the answer to %s: %w", fault.ErrProtocol, endpoint, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// Tree gives the numbers of this actor, and of each that the directory has
// below it. What the directory says of an actor counts, and not what others
// say of it; so nobody can invent actors, or endpoints.
func (r *Router) Tree(ctx context.Context) ([]telemetry.Metrics, error) {
	said := map[string]telemetry.Metrics{}
	measured := r.Measure(ctx, measureBound)
	for _, m := range measured[1:] {
		said[m.Actor] = m
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	entries, err := r.Down.Entries(ctx, "")
	if err != nil {
		return nil, err
	}
	all := measured[:1:1]
	all[0].Actor, all[0].ID, all[0].State = r.Down.Path(), r.Self, string(directory.Ready)
	for _, e := range entries {
		m, there := said[treepath.Below(e.Path, r.Down.Path())]
		if !there {
			m.Silent = "its host has not told of it"
		}
		m.Actor, m.ID, m.State, m.Joined, m.Host, m.Restarts = e.Path, e.Actor, string(e.State), e.Last.Joined, e.Last.Host, uint64(max(0, e.Epoch-1))
		if e.State.Callable() {
			m.Since = e.Since
		}
		m.Endpoints = slices.DeleteFunc(slices.Clone(m.Endpoints), func(of telemetry.Endpoint) bool {
			return !slices.ContainsFunc(e.Endpoints, func(known directory.Endpoint) bool { return known.Name == of.Name })
		})
		all = append(all, m)
	}
	return all, nil
}

// ShowMetrics is the task of [wire.ReadMetrics].
func ShowMetrics(tree func(context.Context) ([]telemetry.Metrics, error)) dialog.Task {
	return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		if err := d.Enter(mostReaders); err != nil {
			return nil, err
		}
		all, err := tree(ctx)
		if err != nil {
			return nil, err
		}
		return answer(d, all)
	}
}

// ReadMetrics reads the numbers of the tree of a host that this program has
// joined.
func ReadMetrics(host endpoint.Reach) func(context.Context) ([]telemetry.Metrics, error) {
	return func(ctx context.Context) ([]telemetry.Metrics, error) {
		t, err := host(ctx)
		if err != nil {
			return nil, err
		}
		payload, err := t.CallRuntime(ctx, wire.ReadMetrics, nil)
		if err != nil {
			return nil, err
		}
		return answered(wire.ReadMetrics, payload, math.MaxInt)
	}
}

// Inquirer asks one actor for its numbers, one question at a time, whose
// answer is for all who ask meanwhile: a call ends when its callee has, so
// that one which is not answered must not be followed by others. Whoever owns
// the link closes it when that has ended. The zero value is ready. mu guards
// asking and last.
//
// An actor that hosts nothing, and with which nobody has exchanged a frame
// since its last answer, is not asked: it would say the same, unless it had
// messages to take then.
type Inquirer struct {
	mu     sync.Mutex
	asking *Inquiry
	last   *Inquiry // whose answer is still true while its frames are all that there are
	tasks  task.Group
}

// Inquiry is a question that is asked. What has been answered is set before
// done is closed.
type Inquiry struct {
	done   chan struct{}
	all    []telemetry.Metrics // nobody changes them
	err    error
	frames frames // there were on the link, when the answer had come
}

// frames is how many have gone over a link.
type frames struct{ in, out uint64 }

func framesOf(t *dialog.Table) frames {
	s := t.Link().Stats()
	return frames{s.FramesIn, s.FramesOut}
}

// Ask begins to ask the actor at the other end of a link, unless it is being
// asked already.
func (q *Inquirer) Ask(t *dialog.Table, within time.Duration) *Inquiry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.asking != nil {
		return q.asking
	}
	if q.last != nil && q.last.frames == framesOf(t) {
		return q.last
	}
	i := &Inquiry{done: make(chan struct{})}
	if !q.tasks.Go(func() {
		lasts := i.ask(t, within)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.asking, q.last = nil, nil
		if lasts {
			q.last = i
		}
		close(i.done)
	}) {
		i.err = fault.ErrActorClosing
		close(i.done)
		return i
	}
	q.asking = i
	return i
}

// Close waits for what is asked, which ends with the link.
func (q *Inquirer) Close() { q.tasks.Close() }

var errNoAnswer = errors.New("it has not answered in time")

// Await gives the answer: the numbers of the actor, without a path, and of
// those below it. It does not wait beyond ctx.
func (i *Inquiry) Await(ctx context.Context) ([]telemetry.Metrics, error) {
	if task.Await(ctx, i.done) != nil && !task.Closed(i.done) { // else it has answered, while another one was waited for
		return nil, errNoAnswer
	}
	return i.all, i.err
}

// ask asks, and reports whether the answer is true until there are other
// frames: those of the question and of the answer were the only ones
// meanwhile.
func (i *Inquiry) ask(t *dialog.Table, within time.Duration) (lasts bool) {
	before := framesOf(t)
	i.all, i.err = ask(t, within)
	i.frames = framesOf(t)
	return len(i.all) == 1 && i.all[0].Unread+i.all[0].Queued == 0 && i.frames == frames{before.in + 1, before.out + 1}
}

func ask(t *dialog.Table, within time.Duration) (all []telemetry.Metrics, err error) {
	args := wire.NewBuffer(0)
	defer args.Free()
	if err := codecs.CBOR.Marshal(args, wire.MetricsRequest{Within: within}, nil); err != nil {
		return nil, err
	}
	payload, err := t.CallRuntime(context.Background(), wire.Metrics, args.Bytes())
	if err != nil {
		return nil, err
	}
	if len(payload) > mostAnswer {
		return nil, fmt.Errorf("%w: the answer to %s has %d bytes; the limit is %d", fault.ErrProtocol, wire.Metrics, len(payload), mostAnswer)
	}
	if all, err = answered(wire.Metrics, payload, 1+mostBelow); err != nil {
		return nil, err
	}
	return bounded(all)
}

// bounded cuts what an actor has answered to what an honest one says.
func bounded(all []telemetry.Metrics) ([]telemetry.Metrics, error) {
	if len(all) == 0 || all[0].Actor != "" {
		return nil, fmt.Errorf("%w: the answer to %s does not begin with the actor itself", fault.ErrProtocol, wire.Metrics)
	}
	for i := range all {
		m := &all[i]
		m.Silent = words.Clip(m.Silent, mostText)
		if m.Health != HealthOK && m.Health != HealthFailed && m.Health != HealthOff {
			m.Health = ""
		}
		for cause := range m.Deaths {
			if !slices.Contains(causes, directory.Cause(cause)) {
				delete(m.Deaths, cause)
			}
		}
		m.Endpoints = slices.Clone(m.Endpoints[:min(len(m.Endpoints), mostEndpoints)]) // the others are let go
		for j := range m.Endpoints {
			e := &m.Endpoints[j]
			e.Buckets = e.Buckets[:min(len(e.Buckets), histogram.Buckets)]
		}
	}
	return all, nil
}

// What is said of an actor's health.
const (
	HealthOK     = "ok"
	HealthFailed = "failed"
	HealthOff    = "off"
)

var causes = []directory.Cause{
	directory.Requested, directory.Finished, directory.Crashed, directory.Transport, directory.Sick, directory.Stuck, directory.NotUp, directory.Lost,
}
