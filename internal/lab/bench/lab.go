package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// The subjects: what is measured beside each other.
const (
	Trellis = "trellis"
	Plain   = "grpc"     // go-plugin, gRPC
	NetRPC  = "netrpc"   // go-plugin, net/rpc
	Bare    = "baregrpc" // gRPC without TLS and go-plugin
	TTRPC   = "ttrpc"    // containerd's, without TLS
	Socket  = "socket"   // the floor
	Inside  = "inside"   // no plugins, one process
	Child   = "child"    // Trellis, without the hop or the spans that are measured
)

var (
	errEnded    = errors.New("the stream has ended by itself")
	errMeasured = errors.New("it has been measured")
)

// process is what has been started to be measured.
type process interface {
	// stop ends it and returns when it is gone.
	stop() error
	// pids are the processes that take part, besides this one.
	pids() []int
}

// peer is one started plugin. What it offers besides calls is in the interfaces
// below.
type peer interface {
	process
	call(ctx context.Context, payload []byte) ([]byte, error)
}

// driver is a program that makes and times the calls of a library that this module does
// not depend on.
type driver interface {
	drive(ctx context.Context, callers, size int, length time.Duration) (measure.Found, error)
}

// opener can open and close a context, or what comes closest to one.
type opener interface {
	open(ctx context.Context) error
}

// pourer streams messages of one size to the host until each says that it is enough.
type pourer interface {
	pour(ctx context.Context, size int, each func() bool) error
}

// echoer streams to the plugin, and back, until each says that it is enough.
type echoer interface {
	echo(ctx context.Context, payload []byte, each func() bool) error
}

// holder keeps contexts open that do nothing.
type holder interface {
	hold(ctx context.Context) holding
}

// hibernator keeps contexts open that need no goroutine.
type hibernator interface {
	hibernate(ctx context.Context) holding
}

// holding is a number of idle contexts.
type holding interface {
	grow(n int) error
	release() error
}

// canceller opens a context, cancels it, and reports how many nanoseconds later the
// plugin's half knew.
type canceller interface {
	cancelled(ctx context.Context) (nanoseconds float64, err error)
}

// consumer reports what its process has.
type consumer interface {
	use(ctx context.Context) (usage.Consumption, error)
}

// lab is where the measuring is done. It owns the plugins that stay for all rounds;
// those of Trellis are the nursery's.
type lab struct {
	options  Options
	nursery  *host.Nursery
	folder   string            // of the programs that were built
	programs map[string]string // a subject's program
	missing  map[string]string // subjects that cannot be measured here, and why
	carried  bool              // every program is this one, which can play them all
	peers    map[string][]process
	built    []host.Spec // of the census
}

func (l *lab) step(what string) {
	if l.options.Step != nil {
		l.options.Step(what)
	}
}

// start starts a plugin that the caller stops.
func (l *lab) start(ctx context.Context, subject string) (process, error) {
	switch subject {
	case Trellis:
		return l.startTrellis(ctx, subject)
	case Plain:
		return l.startPlain(subject)
	case NetRPC:
		return l.startNetRPC(subject)
	case Bare:
		return l.startBare(subject)
	case Socket:
		return l.startSocket()
	case TTRPC:
		return l.startDriver(subject)
	case relay:
		return l.startRelayed(ctx)
	case traced:
		return l.startTraced(ctx)
	case remote:
		return l.startRemote(ctx)
	case TLS:
		return l.startTLS(ctx)
	}
	return nil, fmt.Errorf("no plugin of the kind %q", subject)
}

// some gives n plugins of a kind that stay.
func (l *lab) some(ctx context.Context, subject string, n int) ([]process, error) {
	if missing := n - len(l.peers[subject]); missing > 0 {
		more, err := l.startMany(ctx, subject, missing)
		l.peers[subject] = append(l.peers[subject], more...)
		if err != nil {
			return nil, err
		}
	}
	return l.peers[subject][:n], nil
}

// one gives a plugin that stays.
func (l *lab) one(ctx context.Context, subject string) (process, error) {
	all, err := l.some(ctx, subject, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// able gives a plugin that stays, as what the workload needs it for.
func able[Able any](ctx context.Context, l *lab, subject string) (able Able, err error) {
	p, err := l.one(ctx, subject)
	if err != nil {
		return able, err
	}
	able, ok := p.(Able)
	if !ok {
		return able, fmt.Errorf("%s cannot do this", subject)
	}
	return able, nil
}

// startMany starts plugins at the same time, and returns those that did start.
func (l *lab) startMany(ctx context.Context, subject string, n int) (started []process, err error) {
	all, errs := make([]process, n), make([]error, n)
	each(n, func(i int) { all[i], errs[i] = l.start(ctx, subject) })
	for _, p := range all {
		if p != nil {
			started = append(started, p)
		}
	}
	return started, errors.Join(errs...)
}

func stopMany(all []process) error {
	errs := make([]error, len(all))
	each(len(all), func(i int) { errs[i] = all[i].stop() })
	return errors.Join(errs...)
}

// stopPeers ends the plugins that stayed; whoever needs one starts it anew.
func (l *lab) stopPeers() error {
	var all []process
	for _, some := range l.peers {
		all = append(all, some...)
	}
	clear(l.peers)
	return stopMany(all)
}

// each runs f n times at once, and waits.
func each(n int, f func(i int)) {
	var group task.Group
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Close()
}
