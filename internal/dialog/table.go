package dialog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// DefaultCancelTimeout bounds an acknowledged cancel. Past it a Cancel gives up, and a task
// that was told to end counts as stuck.
const DefaultCancelTimeout = 500 * time.Millisecond

// RuntimePrefix begins the names of endpoints that the runtime itself serves.
const RuntimePrefix = "trellis/"

// traceLevel is for what is of use only to somebody who looks for an error in Trellis.
const traceLevel = slog.LevelDebug - 4

// Task is a callee's side of a dialog: it runs until it returns the dialog's
// value or its failure.
type Task func(ctx context.Context, d *Dialog) (payload []byte, err error)

// Config describes a table. Zero fields mean the defaults. It is not changed after NewTable.
type Config struct {
	// Base is the ctx that every callee's ctx derives from, for its values, until [Table.Rebase]. Its methods are
	// called when the table is made and closed, and must return; those of the ctx that derives from it are never called under a lock.
	Base context.Context
	// Accept finds the task for a Start, or refuses it; the refusal goes to the opener. It
	// runs on the link's reader, so it must not block. The task may run there as well
	// (inplace.go), and may block. Nil: nothing is served.
	Accept func(start *wire.Start) (Task, error)
	// Runtime does the same for endpoints below RuntimePrefix, which are served
	// while the actor is ending, too. Nil if there are none.
	Runtime func(start *wire.Start) (Task, error)
	// Route says where a Start goes that has a target: to the peer of another table, or, nil, to
	// this actor. It writes into the Start who has opened it, as far as that is known for certain.
	// It runs on the link's reader, so it must not block. Nil: all that comes is for this actor.
	Route func(start *wire.Start) (*Table, error)
	// Admit is asked why a Start that others have opened must not be relayed to the peer; last says that it is
	// for the peer itself, whose stuck tasks this side is told of. It runs on the reader of another link, so it
	// must not block. Nil: all may.
	Admit func(start *wire.Start) (last bool, err error)
	Receiving
	CancelTimeout time.Duration
	// Stuck, if not nil, is told of each task of the peer that was told to end and
	// has not within CancelTimeout, by the goroutine that waits for it.
	Stuck func(StuckTask)
	// Log is called on the link's reader and under locks: its handler must not wait
	// for anybody. Package logs makes one that does not.
	Log *slog.Logger
	// Spans takes those of the dialogs, but for the runtime's own. nil: there are none.
	Spans tracing.Sink

	// Trials is how many calls of an endpoint must have been fast before others run on the
	// link's reader ([DefaultTrials]). 0: none ever does.
	Trials int
}

// Table holds all dialogs of one link, and is that link's [link.Receiver]. It owns the
// goroutines of the callees' tasks, in three groups. It ends in four steps, which are its
// owner's: Refuse and CancelTasks, Wait, Lose when the link has ended, and Close.
//
// mu guards the fields below it. It is taken while a dialog's mu is held, never the other
// way round: whoever wants to change dialogs from here collects them first and unlocks.
type Table struct {
	cfg     Config
	link    *link.Link
	tasks   task.Group // callees that run an author's code
	runtime task.Group // callees of endpoints below RuntimePrefix, which outlive the others
	doubts  task.Group // those that wait until a task opens its stream (ready.go)
	limiter limiter
	leading leading // lead.go

	// turn is a semaphore of one: the large answer that holds it goes next (bounds.go).
	turn     chan struct{}
	counters counters
	quota    quota // what the dialogs' streams have of memory
	// unread lists dialogs that have got messages from the packet that is being handled, and
	// in which somebody waits. Only the link's reader uses it, so no lock guards it.
	unread []*Dialog
	corked []*link.Link // that frames of the packet are relayed to; the same

	mu    sync.Mutex
	paces map[string]*pace // by endpoint
	roots []*root          // the last one is that of callees which begin; there are two, with the base that an actor's service has
	// dialogs are those that are not over, by id. An id that is not among them belonged to a
	// dialog that is over, or to none yet: nextID and highest tell which (see over).
	dialogs map[uint64]*Dialog
	nextID  uint64                   // of the next dialog that is opened here
	highest uint64                   // the highest id that the peer has used
	stalled []*Dialog                // those in which somebody waits until the link is not congested any more
	legs    map[uint64]*leg          // of dialogs of others that go over this link, by id
	relayed relayed                  // those of them that the peer was given
	guests  guests                   // what the peer has running here, or relayed from here
	running map[string]chan struct{} // semaphores of endpoints of which not all may run at once, by name
	stuck   map[uint64]StuckTask     // tasks of the peer that were told to end and have not
	closing error                    // why no new dialog begins; nil while open; the first one stays
	lost    error                    // why the link is gone; nil while it is there
}

// NewTable makes the table of l, and starts l: frames may come before NewTable returns. The
// end that dialled gives its dialogs odd ids, the other one even ids, so that both can open
// dialogs without asking.
func NewTable(l *link.Link, cfg Config) *Table {
	t := Prepare(l, cfg)
	l.Start(t)
	return t
}

// Prepare is NewTable without the start of l, for tasks that must find the table somewhere: it is put there first.
func Prepare(l *link.Link, cfg Config) *Table {
	if cfg.CancelTimeout <= 0 {
		cfg.CancelTimeout = DefaultCancelTimeout
	}
	if cfg.ReadyTimeout <= 0 {
		cfg.ReadyTimeout = DefaultReadyTimeout
	}
	if cfg.Base == nil {
		cfg.Base = context.Background()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Table{
		cfg: cfg, link: l, nextID: 2, turn: make(chan struct{}, 1),
		dialogs: map[uint64]*Dialog{}, stuck: map[uint64]StuckTask{}, running: map[string]chan struct{}{}, paces: map[string]*pace{},
		legs: map[uint64]*leg{}, relayed: relayed{shares: map[share]guests{}},
	}
	if l.Dialled() {
		t.nextID = 1
	}
	t.leading.over = t.leading.isOver
	t.Rebase(cfg.Base)
	return t
}

// Self is the actor that the table belongs to.
func (t *Table) Self() actor.ID { return t.link.Self() }

// Peer is the actor at the other end of the link.
func (t *Table) Peer() actor.ID { return t.link.Peer() }

// Link is the connection below.
func (t *Table) Link() *link.Link { return t.link }

func (t *Table) log() *slog.Logger { return t.cfg.Log }

// Rebase gives later callees' tasks another base ctx: the values of a scope that
// the actor's service runs in. Dialogs that have begun keep theirs.
func (t *Table) Rebase(ctx context.Context) {
	r := &root{}
	r.deadline, r.limited = ctx.Deadline()
	r.Context, r.end = context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roots = append(t.roots, r)
}

// Refuse makes every later Start and Open fail with reason. The first reason
// stays.
func (t *Table) Refuse(reason error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing == nil {
		t.closing = reason
	}
}

// CancelTasks tells every task that the peer opened here to end because of cause. It spares
// the runtime's own, one of which may be the very request to end the actor. Call Refuse
// before, or a task may begin in between and not be told.
func (t *Table) CancelTasks(cause error) {
	all := slices.DeleteFunc(t.snapshot(true), (*Dialog).runtime)
	if len(all) == 0 {
		return // packing the cause would take longer than all the rest of an idle actor's end
	}
	n := all[0].because(cause)
	for _, d := range all {
		d.event(DoAbort, n)
	}
}

// Lose ends every dialog: the link is gone, for the given reason. New ones are refused before
// the dialogs are collected, so that none begins in between and is left out.
func (t *Table) Lose(reason error) {
	t.Refuse(reason)
	t.mu.Lock()
	if t.lost == nil {
		t.lost = reason
	}
	clear(t.stuck) // they end with their actor
	t.mu.Unlock()
	for _, d := range t.snapshot(false) {
		d.event(Lost, saying(reason))
	}
	t.loseLegs(reason)
}

// whyLost is the reason that Lose was called with, nil before.
func (t *Table) whyLost() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// Wait returns when no task runs that the peer opened here. The runtime's own
// tasks do not count; Close waits for them too.
func (t *Table) Wait() { t.tasks.Wait() }

// WaitRuntime returns when none of the runtime's own tasks runs: what they answer
// is on its way.
func (t *Table) WaitRuntime() { t.runtime.Wait() }

// Close returns when all tasks have ended. It is called after Lose.
func (t *Table) Close() {
	t.tasks.Close()
	t.runtime.Close()
	t.doubts.Close()
	t.mu.Lock()
	roots := t.roots
	t.mu.Unlock()
	for _, r := range roots {
		r.end()
	}
}

// snapshot copies the list of dialogs, or of those that the peer has opened. Its callers step
// the dialogs without the table's lock, which a dialog takes itself when it ends.
func (t *Table) snapshot(callees bool) []*Dialog {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*Dialog, 0, len(t.dialogs))
	for _, d := range t.dialogs {
		if d.callee || !callees {
			out = append(out, d)
		}
	}
	return out
}

// add registers a dialog that is opened here, and sends its Start. The caller holds the dialog's
// lock, so that no frame of the dialog is sent before its Start, and none that comes is handled.
func (t *Table) add(d *Dialog, start *wire.Frame) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost != nil {
		return t.lost
	}
	if t.closing != nil && !d.runtime() {
		return t.closing
	}
	d.id = t.begin(start)
	t.dialogs[d.id] = d
	t.counters.opened.Add(1)
	return nil
}

// begin gives a Start the next id, and sends it. Both happen under one lock, mu, which the caller
// holds, so that Starts go out in the order of their ids: the peer takes an id below one that it
// has seen for a violation.
func (t *Table) begin(start *wire.Frame) (id uint64) {
	id = t.nextID
	t.nextID += 2
	start.Dialog = id
	t.link.Send(link.Control, start)
	return id
}

// remove forgets a dialog that has ended. It may be called more than once, since a dialog
// that is over can still be stepped, but is counted out of guests only once.
func (t *Table) remove(d *Dialog) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dialogs[d.id] == d {
		delete(t.dialogs, d.id)
		if d.callee {
			t.guests.remove(int(d.weight))
		}
	}
}

// Frame takes what comes from the link's reader. The table's lock is let go before the
// dialog's is taken: a dialog that has ended in between ignores the frame by its own state.
func (t *Table) Frame(f *wire.Frame) error {
	if f.Kind == wire.Kind_KIND_START {
		return t.accept(f)
	}
	t.mu.Lock()
	d, l := t.dialogs[f.Dialog], (*leg)(nil)
	if d == nil {
		l = t.legs[f.Dialog]
	}
	if d == nil && l == nil {
		defer t.mu.Unlock()
		return t.stray(f)
	}
	t.mu.Unlock()
	if l != nil {
		return l.pass(f)
	}
	return d.frame(f)
}

// PacketEnd wakes whoever waits for messages that have come, and sends what is relayed. A reader is so woken once for
// all messages of a packet; one wake-up for each costs more than the messages themselves.
func (t *Table) PacketEnd() {
	for _, d := range t.unread {
		d.wakeListed(&d.unread)
	}
	clear(t.unread)
	t.unread = t.unread[:0]
	t.uncork()
}

// own reports whether ids like this are given by this side.
func (t *Table) own(id uint64) bool { return id%2 == t.nextID%2 }

// stray handles a frame for a dialog that is not in the table. Most often the dialog has just
// ended and the frame crossed its ending; that is in order, and dropped. A frame with an id
// that nobody has used yet is a violation. The caller holds mu.
func (t *Table) stray(f *wire.Frame) error {
	if t.over(f.Dialog) {
		t.counters.late.Add(1)
		t.outlived(f)
		if ctx := context.Background(); t.log().Enabled(ctx, traceLevel) { // it is not rare: what it costs counts
			t.log().Log(ctx, traceLevel, "dropped a frame of a dialog that is over", "dialog", f.Dialog, "kind", f.Kind.String())
		}
		return nil
	}
	return fmt.Errorf("%w: %v of dialog %d, which nobody has opened", fault.ErrProtocol, f.Kind, f.Dialog)
}

// over reports whether a dialog of this id has been and gone. No list of past ids is needed,
// because each side only counts up; the caller has not found the id among the living.
func (t *Table) over(id uint64) bool {
	if t.own(id) {
		return id < t.nextID
	}
	return id <= t.highest
}

// accept begins a dialog that the peer opens. A Start that breaks the protocol is the link's
// to count; one that is only refused gets an ending from its dialog, which was entered into
// the table before for that. It runs on the link's reader.
func (t *Table) accept(f *wire.Frame) error {
	if f.Start == nil {
		return fmt.Errorf("%w: START of dialog %d without its fields", fault.ErrProtocol, f.Dialog)
	}
	r, failed := t.way(f)
	if r != nil {
		return r.start(f)
	}
	d := t.newCallee(f)
	t.mu.Lock()
	refused, err := t.claim(d.id, int(d.weight), d.runtime())
	if err == nil {
		t.dialogs[d.id], d.outer = d, t.roots[len(t.roots)-1]
		if d.runtime() {
			d.outer = context.WithoutCancel(d.outer) // it is served while the actor is ending, and until it has
		}
	}
	t.mu.Unlock()
	if err != nil {
		return err
	}
	var run Task
	if failed == nil {
		run, failed = t.find(d, refused)
	}
	if failed == nil {
		d.task, d.pace = run, t.paceOf(d)
		if t.runTask(d) {
			return nil
		}
		failed = fault.ErrActorClosing // the table is closed: a Start that was late
	}
	d.event(DoFail, note{reason: reason{err: failed, record: refusal(failed, t.Self())}})
	d.traced(nil)
	return nil
}

// find returns the task for a dialog that the peer opens. Endpoints of the runtime are found
// on a table that refuses new dialogs, too, or an actor that is ending could not be asked to
// hurry; only a peer over its limits does not get them. They are for the peer alone, but for those of the
// directory.
func (t *Table) find(d *Dialog, refused error) (Task, error) {
	switch {
	case d.start.Arguments > uint64(t.link.MaxMessage()):
		return nil, fmt.Errorf("%w: %d bytes of arguments, the limit is %d", fault.ErrMessageTooLarge, d.start.Arguments, t.link.MaxMessage())
	case d.runtime() && d.far != nil && !strings.HasPrefix(d.endpoint, wire.DirectoryPrefix):
		return nil, d.notExposed()
	case d.runtime() && t.cfg.Runtime != nil && !errors.Is(refused, fault.ErrOverloaded):
		return t.cfg.Runtime(d.start)
	case refused != nil:
		return nil, refused
	case t.cfg.Accept == nil:
		return nil, d.notExposed()
	}
	return t.cfg.Accept(d.start)
}

func (d *Dialog) notExposed() error {
	return &fault.NotExposed{Actor: d.Self(), Endpoint: d.endpoint, Kind: KindName(d.kind)}
}

func (d *Dialog) runtime() bool { return isRuntime(d.endpoint) }

func isRuntime(endpoint string) bool { return strings.HasPrefix(endpoint, RuntimePrefix) }

// claim takes an id of the peer's for a dialog that it opens. The ids of a peer only go up; err is a
// violation. refused is why the dialog is answered with a failure; it counts as running until that
// is sent. The caller holds mu.
func (t *Table) claim(id uint64, weight int, runtime bool) (refused, err error) {
	if t.own(id) || id == 0 || t.over(id) {
		return nil, fmt.Errorf("%w: START with id %d, which is not free for the peer", fault.ErrProtocol, id)
	}
	t.highest = id
	t.counters.accepted.Add(1)
	refused = t.closing
	if full := t.guests.enter(t.link, weight, runtime); full != nil {
		refused = full
	}
	return refused, nil
}
