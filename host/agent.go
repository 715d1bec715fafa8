package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// AgentOptions says what an agent is. The zero value is ready to use.
type AgentOptions struct {
	// Name of the host that the agent is; if empty, that in Credentials, or that of the machine. A host on another
	// machine goes by the one in Credentials in any case.
	Name string
	// Join are the addresses of the hosts for which it runs actors, as in [Join]; "default" if empty
	// and there is no Registry.
	Join []string
	// Registry, if not nil, has the trees whose roots the agent joins as well, and the agent as a member. The caller closes it.
	Registry fleet.Registry
	// Credentials prove to hosts on other machines which host this is.
	Credentials *fleet.Credentials
	// Labels by which actors choose it (config.On).
	Labels map[string]string
	// Capacity is how many actors it runs at once, for all hosts together; 0 is as many as they want.
	Capacity int
	// AcceptPrograms lets hosts send programs here and have them run. Without it, it runs only what is on its machine.
	AcceptPrograms bool
	// Drain is how long its actors may take to be moved elsewhere when ctx ends; 30 s if 0.
	Drain time.Duration
	// Log gets what it does; slog.Default if nil.
	Log *slog.Logger
}

const (
	agentDrain   = 30 * time.Second
	agentPause   = 100 * time.Millisecond // before it joins again; doubled each time
	agentLongest = 5 * time.Second
)

// Agent runs actors on this machine for the hosts that it joins: those whose spec says so (config.Actor.On). Each is a
// process of this program, which ends with the connection to its host, and with this program; its link leads to
// its host, in whose tree it is.
//
// It joins again whenever a host is lost, for as long as ctx lives, unless that host has drained it: it is none of that tree any more, and returns nil when
// all of its hosts have drained it. When ctx ends, its hosts are told to start their actors
// elsewhere; when none is left, or Drain is over, it leaves, and returns nil when nothing of what it has run is left. Errors
// are about the options.
func Agent(ctx context.Context, o AgentOptions) error {
	a, err := newAgent(o)
	if err != nil {
		return err
	}
	ctx, a.end = context.WithCancel(ctx)
	defer a.end()
	joined, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	var joining task.Group
	a.stays = len(a.Join)
	for _, address := range a.Join {
		joining.Go(func() { a.stay(ctx, joined, address, newStay("")) })
	}
	if a.Registry != nil {
		joining.Go(func() { a.inRegistry(ctx, joined) })
	}
	drained := make(chan struct{})
	lives := context.AfterFunc(ctx, func() {
		defer close(drained)
		a.drain()
		leave(context.Cause(ctx))
	})
	joining.Close() // all have ended when it was drained, or told to leave by each of its hosts
	if !lives() {
		<-drained
	}
	return nil
}

// agent is one agent with all hosts that it has joined. mu guards what is below it.
type agent struct {
	AgentOptions

	end      context.CancelFunc // as the end of its ctx
	shipping chan struct{}      // as many as programs may be taken at once

	mu       sync.Mutex
	running  int
	draining bool
	stays    int             // those that are not over
	drained  map[string]bool // the trees whose hosts have drained it, by the names that stays have for them
	epoch    uint64          // of its membership in the registry
	changed  chan struct{}   // closed at the next change
}

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

func newAgent(o AgentOptions) (*agent, error) {
	if o.Name == "" {
		machine, err := hostName("", o.Credentials)
		if err != nil {
			return nil, fmt.Errorf("the agent has no name: %w", err)
		}
		o.Name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(machine), "-"), "-")
	}
	if o.Capacity < 0 {
		return nil, fmt.Errorf("capacity: expected 0 or more, got %d", o.Capacity)
	}
	if len(o.Join) == 0 && o.Registry == nil {
		o.Join = []string{"default"}
	}
	o.Drain, o.Log, o.Labels = cmp.Or(o.Drain, agentDrain), cmp.Or(o.Log, slog.Default()), maps.Clone(o.Labels)
	if err := (&agentInfo{Host: o.Name, Labels: o.Labels}).check(); err != nil {
		return nil, err
	}
	return &agent{AgentOptions: o, drained: map[string]bool{}, shipping: make(chan struct{}, mostShipping), changed: make(chan struct{})}, (&Spec{Name: o.Name, Command: []string{"agent"}}).Check()
}

// stay joins the host at an address again and again, until ctx ends, or that has no tree any more, or has drained it.
func (a *agent) stay(ctx, joined context.Context, address string, trees *treeStay) {
	defer a.stayed(trees)
	waits := false
	for pause := agentPause; ctx.Err() == nil && trees.wanted(a); pause = min(2*pause, agentLongest) {
		s := &seat{agent: a, address: address, trees: trees, opened: make(chan struct{}), left: make(chan struct{}), errands: map[string]*errand{}}
		began := time.Now()
		err := s.sit(joined)
		if joined.Err() != nil || isClosed(s.left) {
			return
		}
		if time.Since(began) > agentLongest {
			pause = agentPause
		}
		waits = s.explain(err, waits)
		select {
		case <-time.After(pause):
		case <-trees.held:
			pause = agentPause
		case <-ctx.Done():
		}
	}
}

// explain logs why an agent is not in the tree of its host, and reports whether it waits for one. That nothing serves there is told once
// until something else has happened.
func (s *seat) explain(err error, waits bool) bool {
	_, asked := fault.Cancelled(err)
	absent := errors.Is(err, ErrNoHost)
	switch {
	case asked:
		s.Log.Info("an agent waits for its host, which has ended", "at", s.address, "reason", fault.Line(err))
	case absent && waits:
	case absent:
		s.Log.Warn("an agent waits for its host, as nothing serves there", "at", s.address, "error", err)
	case isClosed(s.opened):
		s.Log.Warn("an agent has lost its host, and joins again", "at", s.address, "error", err)
	default:
		s.Log.Warn("an agent cannot join its host, and tries again", "at", s.address, "error", err)
	}
	return asked || absent
}

// drain tells the hosts to move their actors, and waits until nothing runs any more.
func (a *agent) drain() {
	a.change(func() { a.draining = true })
	late := time.After(a.Drain)
	for {
		var running int
		var changed <-chan struct{}
		a.look(func() { running, changed = a.running, a.changed })
		if running == 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			a.Log.Warn("an agent leaves with actors that were not moved", "actors", running)
			return
		}
	}
}

func (a *agent) look(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *agent) change(f func()) {
	a.look(func() {
		f()
		close(a.changed)
		a.changed = make(chan struct{})
	})
}

// seat is an agent in the tree of one host, from when it joins until it leaves. mu guards what is below it.
type seat struct {
	*agent
	address string
	trees   *treeStay
	nursery *Nursery      // whose processes the errands are
	opened  chan struct{} // closed when there is one
	tasks   task.Group    // the errands
	left    chan struct{} // closed when the host does not want it any more
	leaves  sync.Once

	mu      sync.Mutex
	errands map[string]*errand // by the uuid of the actor
}

// sit joins the host with a nursery of its own in that tree, which has what processes need: a log, a certificate
// authority, a folder for sockets. It has no children: what the agent runs are children of the host. It returns when it is lost or joined has ended, and nothing of what ran for it is left.
func (s *seat) sit(joined context.Context) error {
	endpoints := []contract.Handler{agentState.Handle(s.states), agentLaunch.Handle(s.launch), agentDo.Handle(s.do), agentShip.Handle(s.accept)}
	for i := range endpoints {
		endpoints[i] = endpoints[i].Callers("parent")
	}
	return Join(joined, s.address, JoinOptions{Name: s.Name, Endpoints: endpoints, Credentials: s.Credentials}, func(ctx context.Context) error {
		return openNursery(ctx, Options{Log: s.Log}, func(ctx context.Context, n *Nursery) error {
			s.nursery = n
			close(s.opened)
			s.Log.Info("an agent has joined its host", "at", s.address)
			select {
			case <-ctx.Done():
			case <-s.left: // it runs nothing any more
			}
			s.tasks.Close() // their contexts have ended as well
			return ctx.Err()
		})
	})
}

// dial connects to the host with a token that it waits for.
func (s *seat) dial(ctx context.Context, token []byte) (link.Transport, error) {
	dial := control.Dial
	if fabric.IsAddress(s.address) {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return dialFleet(ctx, address, s.Credentials)
		}
	}
	conn, err := dial(ctx, s.address)
	if err != nil {
		return nil, err
	}
	return control.Tunnel(ctx, conn, token)
}

// states tells who the agent is, and again when that changes.
func (s *seat) states(ctx context.Context, _ struct{}) iter.Seq2[agentInfo, error] {
	return func(yield func(agentInfo, error) bool) {
		type said struct {
			running  int
			draining bool
			epoch    uint64
		}
		var last said
		for told := false; ; {
			var changed <-chan struct{}
			info := agentInfo{Host: s.Name, Labels: s.Labels, Capacity: s.Capacity, Accepts: s.AcceptPrograms}
			s.look(func() { info.Running, info.Draining, info.Epoch, changed = s.running, s.draining, s.epoch, s.changed })
			if now := (said{info.Running, info.Draining, info.Epoch}); !told || now != last {
				if told, last = true, now; !yield(info, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// enter takes a place for an errand, and gives the nursery whose process it will be.
func (s *seat) enter(ctx context.Context) (*Nursery, error) {
	select {
	case <-s.opened:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	err := error(nil)
	s.look(func() {
		switch {
		case s.draining:
			err = fmt.Errorf("%w: the agent is draining", fault.ErrOverloaded)
		case s.Capacity > 0 && s.running >= s.Capacity:
			err = fmt.Errorf("%w: the agent runs %d actors already", fault.ErrOverloaded, s.running)
		default:
			s.running++
		}
	})
	return s.nursery, err
}

// dismissed says that the host has drained the agent. That is the end of the seat, and of all that would follow it in this tree.
func (s *seat) dismissed() {
	s.leaves.Do(func() {
		s.look(func() { maps.Copy(s.drained, s.trees.names) })
		close(s.left)
	})
}

func (s *seat) leave() { s.change(func() { s.running-- }) }

func (s *seat) add(uuid string, e *errand) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errands[uuid] != nil {
		return fmt.Errorf("a process of the actor %.40q runs already", uuid)
	}
	s.errands[uuid] = e
	return nil
}

func (s *seat) remove(uuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.errands, uuid)
}

func (s *seat) find(uuid string) *errand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errands[uuid]
}
