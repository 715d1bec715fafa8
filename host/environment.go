package host

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Options says how a nursery works. The zero value is ready to use.
type Options struct {
	// Name of the root actor; "host" if empty. A plugin that hosts plugins keeps
	// its own identity.
	Name string
	// Endpoints that the children may call on this actor.
	Endpoints []contract.Handler
	// Supervision says what the failure of one child, or of a one-shot, means for the
	// others. The default, one_cancels_all, restarts those children whose Spec says so,
	// and ends all when another one fails. With one_for_one the others live on, and all
	// failures are returned at the end.
	Supervision config.Supervision
	// Log gets the nursery's events and the children's logs; slog.Default if nil. Nothing
	// waits for its handler, but for the end of the nursery, and that for a second at most.
	Log *slog.Logger
	// DialOptions, if not nil, gives further options of go-plugin's main connection to
	// the child of a name, such as interceptors or message limits for Portal.Services,
	// Dispense. It is called at each start of a process, and must not wait.
	DialOptions func(actor string) []grpc.DialOption
	// Streams say how this actor receives messages from its children. A plugin that hosts
	// plugins receives as its own Spec says, where this does not.
	Streams config.Streams
	// Hurry, if not nil, makes a teardown skip to SIGKILL when it is closed.
	Hurry <-chan struct{}
	// Dump, if not nil, gives writers: to each, what is known of this actor and of all below it is written, goroutines
	// and open contexts included, also while some of them hang or the nursery ends; then the writer is closed.
	Dump <-chan io.WriteCloser
	// Telemetry says how much is kept of what the actors of the tree log and print, for package
	// telemetry. It is for the program at the root of a tree.
	Telemetry config.Telemetry
	// Serve, if not empty, is an address at which other programs of this user may [Join] this
	// actor: a name such as "default", or the path of a socket. See docs/joining.md.
	Serve string
	// OrJoin, with Serve, makes this program join the host that serves at the address already,
	// if there is one, with a nursery of its own in that tree. So of programs that begin at
	// once, the first one serves and the others join it. One that has joined has Name and
	// Endpoints in that tree, whose calls obey the same rules, and its ctx ends when that host
	// does; whoever comes next may serve.
	OrJoin bool
	// Fleet, if not nil, lets programs on other machines join this actor. See docs/machines.md.
	Fleet *Fleet
	// Record writes down what is said with the children of these names, replicas and all
	// processes of each, for trellistest.Replay; what they host themselves is not said here.
	// Payloads are written as they are, and so are secrets in them. Nobody waits for a
	// writer: past docs/bounds.md a recording is given up, with a warning. It is
	// whole when the nursery has ended, which waits 5 seconds at most for writers that
	// hang; closing its writer is the caller's.
	Record map[string]io.Writer
}

// environment is what all children of a nursery have in common. It is made before the
// first of them, and not changed after, so that it is read without a lock; the nursery
// owns it. What it points to guards itself: turns, the registry, the queue and the ending of the
// actor.
//
// base is the nursery's own ctx, whose end ends what the children have called here. ending
// is nil in a root actor, which nobody ends. authority makes its key with the first child
// that needs it, as that takes time which a nursery without children, or with foreign
// programs only, need not spend; all children of a nursery share one authority.
type environment struct {
	base    context.Context // of what the children call here
	self    actor.ID
	exposed *endpoint.Exposed
	log     *slog.Logger // does not wait for its handler; warnings are kept as well
	queue   *logs.Log    // of what goes to the handler, by log and of events
	lines   *slog.Logger // of the children, which wait in a queue of their own
	printed task.Group   // waits for the logs of processes that are gone
	letGo   task.Group   // ends what go-plugin holds of processes that are gone
	hurry   <-chan struct{}
	dial    func(actor string) []grpc.DialOption
	launch  launch.Launcher // nil: programs are processes
	receive dialog.Receiving
	taps    map[string]*recording.Recorder // by the names of children

	ending    *self.Ending // of the actor itself
	turns     *turns       // of its children's ends
	authority func() (*trust.Authority, error)
	registry  directory.Registry // of the actor
	records   telemetry.Source   // of the actor
	spans     tracing.Sink       // of the actor; nil if none are kept
	router    *route.Router      // of the actor
	machines  *machines          // that its children may run on
	end       func()             // ends the registry and the records, if they are this nursery's own
}

// newEnvironment makes ctx's actor the parent of the nursery's children. A ctx without one
// belongs to a program that is not a plugin, which becomes a root actor here; each
// outermost nursery of such a program has an identity of its own.
//
// The outermost nursery that finds no registry in its ctx makes one and owns it: events of the
// nurseries inside it go there too, and followers end with it.
func newEnvironment(ctx context.Context, o Options) (*environment, context.Context, error) {
	id, ok := self.From(ctx)
	if !ok {
		id = actor.NewID(cmp.Or(o.Name, "host"))
		id.PID = os.Getpid()
		ctx = self.With(ctx, id, nil)
	}
	exposed, err := endpoint.Expose(id, o.Endpoints...)
	if err != nil {
		return nil, ctx, err
	}
	log := logOf(ctx, o)
	queue := logs.New(log)
	kept := o.Telemetry.WithDefaults()
	ctx, end := report.InTree(ctx, kept.Records, kept.Spans)
	registry := directory.From(ctx)
	router := route.From(ctx)
	if router == nil {
		router = &route.Router{Self: id, Root: id, Down: registry}
		ctx = report.WithMeasure(route.With(ctx, router), measureTree(router))
	}
	source := telemetry.From(ctx)
	// Warnings may have errors of authors in them, whose texts take the time that they want.
	warnings := logs.New(slog.New(keeping{keep: func(r telemetry.Record) {
		r.Actor = registry.Path()
		source.Put(r)
	}}))
	own := slog.New(slog.NewMultiHandler(queue.Logger().Handler(), warnings.Logger().Handler()))
	taps := map[string]*recording.Recorder{}
	for name, w := range o.Record {
		taps[name] = recording.New(w, name, own)
	}
	return &environment{
		base: ctx, self: id, exposed: exposed, log: own, queue: queue, lines: log, hurry: o.Hurry,
		dial: o.DialOptions, launch: launch.From(ctx), taps: taps, receive: receiving(o.Streams).Or(life.ReceivingFrom(ctx)), registry: registry, machines: newMachines(o.Fleet), records: source, spans: tracing.To(source, registry.Path()), router: router,
		end: func() {
			closedWithin(warnings.Idle(), lastLogs)
			end()
		},
		authority: sync.OnceValues(func() (*trust.Authority, error) { return trust.NewAuthority(id.UUID) }), ending: self.EndingFrom(ctx), turns: newTurns(),
	}, ctx, nil
}

// logOf is what a nursery logs to. What it logs where its own host may read it is marked,
// since it tells that host the same over the link.
func logOf(ctx context.Context, o Options) *slog.Logger {
	log := cmp.Or(o.Log, slog.Default())
	if up, ok := telemetry.From(ctx).(report.Records); ok && up.Printed {
		return log.With(wire.LogKey, wire.LogHosted)
	}
	return log
}

// keeper keeps what a child says that has this identity. What it returns is called on one
// goroutine. A spare has a path of its own until it is taken; what is read of a process that
// is gone is still the word of the actor that it was.
func (e *environment) keeper(id actor.ID) func(telemetry.Record) {
	path := treepath.Join(e.registry.Path(), id.Name)
	return func(r telemetry.Record) {
		if now, there := e.router.Down.Where(id); there {
			path = now
		}
		r.Actor = path
		e.records.Put(r)
	}
}

// endRecordings returns when what was recorded has been written. All end at once, so that writers
// that hang hold the nursery's end for as long as one of them does.
func (e *environment) endRecordings() {
	var ending task.Group
	for _, r := range e.taps {
		ending.Go(r.Close)
	}
	ending.Wait()
}

// lastLogs is how long a nursery that has ended waits for its log's handler.
const lastLogs = time.Second

// flush waits until the handler has all that was logged, and the last lines of the children. It
// waits for lastLogs at most, since a handler may itself wait for the nursery's end.
func (e *environment) flush() {
	ctx, stop := context.WithTimeout(context.Background(), lastLogs)
	defer stop()
	if task.Await(ctx, e.queue.Idle()) == nil {
		_ = task.Await(ctx, e.printed.Idle()) // what is late is let go
	}
}

// receiving is how an actor receives that has these settings.
func receiving(s config.Streams) dialog.Receiving {
	return dialog.Receiving{
		Window:       dialog.Window{Messages: s.Messages, Bytes: int(s.Bytes), Most: s.Most},
		ReadyTimeout: time.Duration(s.ReadyTimeout),
	}
}

// cgroupsNoted makes it once in the life of the program, however many nurseries it has:
// what it says is true of all of them.
var cgroupsNoted sync.Once

// noteCgroups says once in the life of a program that its actors have no cgroups,
// and what that means.
func noteCgroups(log *slog.Logger) {
	cgroupsNoted.Do(func() {
		if _, err := rundir.Cgroup(); err != nil {
			log.Debug("actors get no cgroups of their own: what leaves their process groups outlives them", "reason", err)
		}
	})
}

// nurseries counts the open nurseries of this process: the directory with the
// tree's sockets goes away with the last of them.
var nurseries openNurseries

// openNurseries is a count that mu guards. It is the only state of this package that
// belongs to the program and not to a nursery, because the runtime directory is the
// program's as well.
type openNurseries struct {
	mu sync.Mutex
	n  int
}

// enter counts a nursery that opens.
func (o *openNurseries) enter() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
}

// leave counts one that has ended. The last one removes the directory under the lock, so
// that a nursery that opens meanwhile waits, and makes its own directory after that.
// Otherwise it could be given the old one, and have its sockets removed.
func (o *openNurseries) leave(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n > 0 {
		return
	}
	if err := rundir.Close(); err != nil {
		log.Warn("the runtime directory could not be removed; the next host tries again", "error", err)
	}
}
