package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// The subjects: what is measured beside each other.
const (
	Trellis = "trellis"
	Plain   = "grpc"   // go-plugin, gRPC
	NetRPC  = "netrpc" // go-plugin, net/rpc
	Socket  = "socket" // the floor
	Inside  = "inside" // no plugins, one process
)

// peer is one started plugin. What it offers besides calls is in the interfaces
// below.
type peer interface {
	call(ctx context.Context, payload []byte) ([]byte, error)
	// stop ends the process and returns when it is gone.
	stop() error
	pid() int
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
	use(ctx context.Context) (consumption, error)
}

// lab is where the measuring is done. It owns the plugins that stay for all rounds;
// those of Trellis are the nursery's.
type lab struct {
	options Options
	self    string // the program's file
	nursery *host.Nursery
	peers   map[string][]peer
	built   []host.Spec // of the census
}

func (l *lab) step(what string) {
	if l.options.Step != nil {
		l.options.Step(what)
	}
}

// start starts a plugin that the caller stops.
func (l *lab) start(ctx context.Context, subject string) (peer, error) {
	switch subject {
	case Trellis:
		return l.startTrellis(ctx)
	case Plain:
		return l.startPlain(ctx)
	case NetRPC:
		return l.startNetRPC(ctx)
	case Socket:
		return l.startSocket(ctx)
	}
	return nil, fmt.Errorf("no plugin of the kind %q", subject)
}

// some gives n plugins of a kind that stay.
func (l *lab) some(ctx context.Context, subject string, n int) ([]peer, error) {
	if missing := n - len(l.peers[subject]); missing > 0 {
		more, err := l.startMany(ctx, subject, missing)
		l.peers[subject] = append(l.peers[subject], more...)
		if err != nil {
			return nil, err
		}
	}
	return l.peers[subject][:n], nil
}

// one gives a plugin that stays, as what the workload needs it for.
func one[Able any](ctx context.Context, l *lab, subject string) (able Able, err error) {
	all, err := l.some(ctx, subject, 1)
	if err != nil {
		return able, err
	}
	able, ok := all[0].(Able)
	if !ok {
		return able, fmt.Errorf("%s cannot do this", subject)
	}
	return able, nil
}

// startMany starts plugins at the same time, and returns those that did start.
func (l *lab) startMany(ctx context.Context, subject string, n int) (started []peer, err error) {
	all, errs := make([]peer, n), make([]error, n)
	each(n, func(i int) { all[i], errs[i] = l.start(ctx, subject) })
	for _, p := range all {
		if p != nil {
			started = append(started, p)
		}
	}
	return started, errors.Join(errs...)
}

func stopMany(all []peer) error {
	errs := make([]error, len(all))
	each(len(all), func(i int) { errs[i] = all[i].stop() })
	return errors.Join(errs...)
}

// close ends the plugins that stayed. That some did not end in order is not a failure of
// what was measured.
func (l *lab) close() {
	for _, all := range l.peers {
		_ = stopMany(all)
	}
}

// each runs f n times at once, and waits.
func each(n int, f func(i int)) {
	var group task.Group
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Close()
}
