package dialog_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// cancelTimeout is the default bound of an acknowledged cancel.
const cancelTimeout = dialog.DefaultCancelTimeout

// allInPlace has the tests of this package run as if all their calls were known to be fast.
var allInPlace = flag.Bool("inplace", false, "run every call on the link's reader")

// pair is two actors with a link between them, inside this process.
type pair struct {
	parent, child           *dialog.Table
	parentWarns, childWarns *warnings
}

// tasks is what an actor of a pair serves.
type tasks map[string]dialog.Task

func (ts tasks) accept(s *wire.Start) (dialog.Task, error) {
	if run, ok := ts[s.Endpoint]; ok {
		return run, nil
	}
	return nil, &fault.NotExposed{Endpoint: s.Endpoint}
}

// setup is what the two ends of a pair have in common.
type setup struct {
	base       context.Context
	window     dialog.Window
	maxMessage int
	maxDialogs int
	stuck      func(dialog.StuckTask)
	names      [2]actor.ID   // of parent and child
	limits     link.Config   // what the honest side tells its peer
	reads      chan struct{} // a raw peer reads nothing before it is closed; nil: it reads
	ungreeted  bool          // a raw peer says no Hello
	patience   time.Duration
	ready      time.Duration
	eager      bool                                                                // calls run on the reader from the first one on
	route      func(*wire.Start) (*dialog.Table, error)                            // of a table
	between    func(parent, child link.Transport) (link.Transport, link.Transport) // what lies between them
}

// distant is a transport that takes its time.
type distant struct {
	link.Transport
	delay time.Duration
}

// far makes whatever is sent take a millisecond.
func far(s *setup) {
	s.between = func(a, b link.Transport) (link.Transport, link.Transport) {
		return &distant{a, time.Millisecond}, &distant{b, time.Millisecond}
	}
}

func (d *distant) Send(b wire.Batch) error {
	time.Sleep(d.delay)
	return d.Transport.Send(b)
}

// patient is for tests in real time, on a machine that may have better things to
// do for half a second. A Cancel that is never answered still fails them.
func patient(s *setup) { s.patience = time.Minute }

// warnings counts what an actor warns of.
type warnings struct{ n atomic.Int64 }

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *warnings) WithGroup(string) slog.Handler            { return w }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		w.n.Add(1)
	}
	return nil
}

// newPair links two actors that serve the same; the link ends, and leaves nothing,
// with the test.
func newPair(t testing.TB, served tasks, with ...func(*setup)) *pair {
	t.Helper()
	s := setup{names: [2]actor.ID{actor.NewID("parent"), actor.NewID("child")}}
	for _, w := range with {
		w(&s)
	}
	p := &pair{parentWarns: &warnings{}, childWarns: &warnings{}}
	s.link(p, served)
	t.Cleanup(func() { p.end(t) })
	return p
}

// link makes the two ends of a pair.
func (s *setup) link(p *pair, served tasks) {
	a, b := pipe.New()
	if s.between != nil {
		a, b = s.between(a, b)
	}
	p.parent = s.table(a, link.Config{Self: s.names[0], Log: slog.New(p.parentWarns)}, served)
	p.child = s.table(b, link.Config{Self: s.names[1], Log: slog.New(p.childWarns), Dialled: true}, served)
	<-p.parent.Link().Greeted()
	<-p.child.Link().Greeted()
}

func (s *setup) table(tr link.Transport, cfg link.Config, served tasks) *dialog.Table {
	cfg.MaxMessage = s.maxMessage
	cfg.MaxDialogs = cmp.Or(s.maxDialogs, cfg.MaxDialogs)
	config := dialog.Config{
		Base: s.base, Accept: served.accept, Runtime: served.accept, CancelTimeout: s.patience, Route: s.route,
		Receiving: dialog.Receiving{Window: s.window, ReadyTimeout: s.ready}, Stuck: s.stuck,
		Admit: func(*wire.Start) (bool, error) { return true, nil },
		Log:   cfg.Log, Trials: dialog.DefaultTrials,
	}
	if s.eager || *allInPlace {
		config.Trials = -1
	}
	table := dialog.NewTable(link.New(tr, cfg), config)
	loseWithLink(table)
	return table
}

// loseWithLink does what the owner of a table does: a link that is gone ends all
// of its dialogs.
func loseWithLink(table *dialog.Table) {
	task.Start(func() {
		<-table.Link().Done()
		reason := "closed in order"
		if err := table.Link().Err(); err != nil {
			reason = err.Error()
		}
		table.Lose(&fault.LinkLost{Peer: table.Peer(), Reason: reason})
	})
}

// end closes the link in order, unless the test has cut it, and looks for what is
// left behind.
func (p *pair) end(t testing.TB) {
	p.child.Link().Close(nil)
	for _, table := range []*dialog.Table{p.child, p.parent} {
		<-table.Link().Done()
		table.Lose(errTestOver)
		table.Close()
		if n := table.Len(); n != 0 {
			t.Errorf("C15: %s: %d dialogs left in the table", table.Self(), n)
		}
	}
}

var errTestOver = errors.New("the test is over")

// errBoom is a failure of a task, as good as any.
var errBoom = errors.New("boom")

func init() { fault.Sentinel("dialog_test.boom", errBoom) }

// body is an opener's task.
type body = func(ctx context.Context, d *dialog.Dialog) error

// portal is where dialogs are opened: a table, or a target.
type portal interface {
	Open(ctx context.Context, r *dialog.Request) (*dialog.Dialog, error)
}

// open runs a scope on the endpoint "task" of an actor.
func open(ctx context.Context, to portal, run body) error {
	return openRequest(ctx, to, &dialog.Request{Endpoint: "task", Kind: dialog.Context}, run)
}

func openRequest(ctx context.Context, to portal, r *dialog.Request, run body) error {
	d, err := to.Open(ctx, r)
	if err != nil {
		return err
	}
	return d.Scope(run)
}

// openIn is open in a group, with a body that may hibernate.
func openIn(ctx context.Context, to portal, run dialog.Task) (err error) {
	return openRequestIn(ctx, to, &dialog.Request{Endpoint: "task", Kind: dialog.Context}, run)
}

func openRequestIn(ctx context.Context, to portal, r *dialog.Request, run dialog.Task) (err error) {
	d, err := to.Open(ctx, r)
	if err != nil {
		return err
	}
	var group task.Group
	group.Go(func() { d.ScopeIn(&group, run, func(ended error) { err = ended }) })
	group.Close() // also a group that is closed goes on with what hibernates
	return err
}

// call runs the Func "task" of table's peer.
func call(ctx context.Context, table *dialog.Table, args string) ([]byte, error) {
	return table.Call(ctx, &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: []byte(args)})
}

// started is a callee that calls Started first.
func started(run dialog.Task) tasks {
	return tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		if err := d.Started(nil); err != nil {
			return nil, err
		}
		return run(ctx, d)
	}}
}

// waits is a task that does nothing until it is told to end.
func waits(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// stream opens this side's end of d's stream.
func stream(t testing.TB, d *dialog.Dialog, o ...dialog.StreamOptions) *dialog.Stream {
	t.Helper()
	s, err := d.OpenStream(append(o, dialog.StreamOptions{})[0])
	if err != nil {
		t.Fatalf("OpenStream: %v", err)
	}
	return s
}

// attempt is a call that runs beside the test.
type attempt struct {
	worker *task.Worker
	err    error
	took   time.Duration
}

// beside runs f in a goroutine of its own.
func beside(f func() error) *attempt {
	a := &attempt{}
	began := time.Now()
	a.worker = task.Start(func() {
		a.err = f()
		a.took = time.Since(began)
	})
	return a
}

// wait returns what f has returned.
func (a *attempt) wait() error {
	a.worker.Wait()
	return a.err
}

// over reports, in a bubble, whether f has returned by now.
func (a *attempt) over() bool {
	synctest.Wait()
	select {
	case <-a.worker.Done():
		return true
	default:
		return false
	}
}

// remote gives err's RemoteError; the test fails if it is none itself.
func remote(t testing.TB, err error) *fault.RemoteError {
	t.Helper()
	r, ok := err.(*fault.RemoteError) //nolint:errorlint // err itself is meant
	if !ok {
		t.Fatalf("got %T (%v), want a *fault.RemoteError", err, err)
	}
	return r
}

// same asserts identity, which errors.Is does not.
func same(t testing.TB, what string, got, want error) {
	t.Helper()
	if got != want { //nolint:errorlint // identity is meant
		t.Errorf("%s is %T (%v), want the very object %T (%v)", what, got, got, want, want)
	}
}

// within asserts, in a bubble, that exactly so much time has gone by.
func within(t testing.TB, began time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(began); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}

// raw is an actor that dials and speaks frames by hand; its peer is a table.
type raw struct {
	t     testing.TB
	end   link.Transport
	table *dialog.Table // the actor that is under test
	warns *warnings
	reads chan struct{}
	mu    sync.Mutex
	heard []*wire.Frame
}

// newRaw links a table with a raw peer, in a bubble, and greets it.
func newRaw(t testing.TB, served tasks, with ...func(*setup)) *raw {
	t.Helper()
	s := setup{names: [2]actor.ID{actor.NewID("honest"), actor.NewID("raw")}}
	for _, w := range with {
		w(&s)
	}
	a, b := pipe.New()
	r := &raw{t: t, end: b, warns: &warnings{}, reads: s.reads}
	s.limits.Self, s.limits.Log = s.names[0], slog.New(r.warns)
	r.table = s.table(a, s.limits, served)
	reader := task.Start(r.listen)
	t.Cleanup(func() {
		r.end.Abort()
		reader.Wait()
		<-r.table.Link().Done()
		r.table.Lose(errTestOver)
		r.table.Close()
		if n := r.table.Len(); n != 0 {
			t.Errorf("C15: %d dialogs left in the table", n)
		}
	})
	if !s.ungreeted {
		r.send(&wire.Frame{Kind: wire.Kind_KIND_HELLO, Hello: &wire.Hello{
			Version: wire.Version, Self: wire.FromID(s.names[1]), MaxMessage: link.DefaultMaxMessage,
		}})
	}
	return r
}

func (r *raw) listen() {
	if r.reads != nil {
		<-r.reads
	}
	for {
		p, err := r.end.Recv()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.heard = append(r.heard, p.Frames...)
		r.mu.Unlock()
	}
}

// send sends the frames as one packet, and waits until they have had their effect.
func (r *raw) send(frames ...*wire.Frame) {
	var batch wire.Batch
	for _, f := range frames {
		b, err := wire.AppendFrame(nil, f)
		if err != nil {
			r.t.Error(err)
		}
		batch = append(batch, b)
	}
	_ = r.end.Send(batch) // a link that was cut takes nothing
	synctest.Wait()
}

// got returns the frames of one kind that have come for a dialog so far.
func (r *raw) got(kind wire.Kind, id uint64) (frames []*wire.Frame) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.heard {
		if f.Kind == kind && f.Dialog == id {
			frames = append(frames, f)
		}
	}
	return frames
}

// start is a Start that a raw peer sends for the endpoint "task".
func start(id uint64, kind dialog.Kind) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_START, Start: &wire.Start{Endpoint: "task", Kind: kind}}
}

// frame is a frame that needs nothing but its kind.
func frame(id uint64, kind wire.Kind) *wire.Frame { return &wire.Frame{Dialog: id, Kind: kind} }

// yield is one message.
func yield(id uint64, text string) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_YIELD, Payload: []byte(text)}
}

// ending is an Error or a Fail.
func ending(id uint64, kind wire.Kind, err error, from actor.ID) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: kind, Fault: fault.Pack(err, from)}
}
