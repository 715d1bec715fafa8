package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ErrServed is what a nursery fails with that is to serve at an address where another host does
// ([Options.Serve]). A program that does not mind whose tree it is joins that one
// ([Options.OrJoin]).
var ErrServed = control.ErrServed

const (
	mostGuests  = 64                     // programs that have joined, agents apart
	mostAgents  = 1024                   // of which each has a host of its own
	mostUnheard = 64                     // those that have connected at one address, and not said yet who they are
	doorPause   = 100 * time.Millisecond // after a failure of the socket, as for lack of descriptors
)

// door is where other programs join a nursery. From when it is open one goroutine of the nursery's
// listens at each entrance, and each program has one from when it connects until it is gone. Whoever has
// connected before that waits. A program has a place from when it has said who it is: those that
// connect and say nothing take none, and make way for whoever comes later. The door is shut when
// the nursery's ctx ends, and when it has nothing left to do.
type door struct {
	n         *Nursery
	entrances []*entrance
	fabric    *fabric.Listener // one of them; nil if no other machines can connect
	ctx       context.Context  // ends when the door is shut
	close     context.CancelFunc
	places    chan struct{} // as many as there may be
	agents    chan struct{} // the same for agents
	refused   refusals
}

// entrance is an address at which programs come to the door: a socket, or one of the network.
type entrance struct {
	at     string
	accept func() (*control.Caller, error)
	close  func()
	last   []*control.Caller // those that have connected last; attend alone uses it
}

// serve makes the door at the addresses of the options; without any, it has no entrances.
func serve(ctx context.Context, o Options) (*door, error) {
	d := &door{close: func() {}, places: make(chan struct{}, mostGuests), agents: make(chan struct{}, mostAgents)}
	if o.Serve != "" {
		l, err := control.Listen(o.Serve)
		if err != nil {
			return nil, err
		}
		d.entrances = append(d.entrances, &entrance{at: l.Path(), accept: l.Accept, close: l.Close})
	}
	l, err := o.Fleet.listen(ctx)
	if err != nil {
		d.shut()
		return nil, err
	}
	if l != nil {
		d.fabric = l
		d.entrances = append(d.entrances, &entrance{at: l.Addr().String(), accept: func() (*control.Caller, error) {
			conn, err := l.Accept()
			if err != nil {
				return nil, err
			}
			d.letIn(conn)
			return control.NewCaller(conn, conn.Host()), nil
		}, close: l.Close})
	}
	return d, nil
}

// open lets programs in, to a nursery.
func (d *door) open(n *Nursery) {
	d.n = n
	d.ctx, d.close = context.WithCancel(n.ctx)
	for _, e := range d.entrances {
		n.tasks.Go(func() { d.attend(e) })
	}
}

// shut lets nobody in any more.
func (d *door) shut() {
	d.close()
	for _, e := range d.entrances {
		e.close()
	}
}

// attend lets programs in at an entrance until the door is shut. A socket that fails does so again and again,
// and is told once.
func (d *door) attend(e *entrance) {
	defer e.close() // waits for the other one
	defer context.AfterFunc(d.ctx, e.close)()
	for failing := false; ; {
		caller, err := e.accept()
		stranger := isStranger(err)
		before := failing
		failing = err != nil && !stranger
		switch {
		case err == nil:
			d.admit(e, caller)
		case d.ctx.Err() != nil:
			return
		case stranger:
			d.warn(e, &control.Caller{}, err)
		case !before:
			d.n.env.log.Warn("programs cannot join", "at", e.at, "error", err)
		}
		if failing && closedWithin(d.ctx.Done(), doorPause) {
			return
		}
	}
}

// isStranger reports whether an entrance goes on after an error, which is about one that has come.
func isStranger(err error) bool {
	_, local := errors.AsType[*control.Stranger](err)
	_, remote := errors.AsType[*fabric.Stranger](err)
	return local || remote
}

// letIn logs that a host is let in which was refused again and again. It may still be refused what it wants.
func (d *door) letIn(conn *fabric.Conn) {
	from, _, _ := net.SplitHostPort(conn.RemoteAddr().String()) // it has a port
	if more := d.refused.forget(from); more > 0 {
		d.n.env.log.Info("a host that was refused is let in", "from", from, "host", conn.Host(), "refused_and_not_logged", more)
	}
}

// warn logs why a program could not join: for each machine, or program, once for each reason, and of many in a second only one.
func (d *door) warn(e *entrance, caller *control.Caller, err error) {
	who := cmp.Or(caller.Host, e.at+" "+strconv.Itoa(caller.PID))
	if s, is := errors.AsType[*fabric.Stranger](err); is {
		who, _, _ = net.SplitHostPort(s.From) // as above
	}
	if more, tell := d.refused.next(time.Now(), who, err.Error()); tell {
		d.n.env.log.Warn("a program could not join", "at", e.at, "pid", caller.PID, "host", caller.Host, "error", err, "more_not_logged", more)
	}
}

// admit gives a program that has connected a goroutine, which stays until it is gone.
func (d *door) admit(e *entrance, caller *control.Caller) {
	if len(e.last) == mostUnheard {
		e.last[0].Displace()
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, caller)
	admitted := d.n.tasks.Go(func() {
		defer caller.Close()
		if err := d.entertain(caller); err != nil {
			d.warn(e, caller, err)
			caller.Refuse(d.ctx, err, d.n.env.self)
		}
	})
	if !admitted { // the nursery has ended meanwhile
		caller.Close()
	}
}

// entertain hears who a program is, gives it a place, if there is one, and returns when it is gone.
func (d *door) entertain(caller *control.Caller) error {
	hello, err := caller.Hear(d.ctx)
	if err != nil {
		return err
	}
	if len(caller.Token) > 0 {
		return d.tunnel(caller)
	}
	places, full := d.places, d.full
	if isAgent(hello) {
		places, full = d.agents, agentsFull
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return full()
	}
	c, err := d.join(caller, hello)
	if err != nil {
		return err
	}
	if isAgent(hello) {
		if err := d.n.env.machines.follow(d.n.ctx, c); err != nil && d.n.ctx.Err() == nil && !errors.Is(err, fault.ErrActorLost) {
			select {
			case <-c.gone: // it has left in order, whatever its tasks were ended with
			case <-time.After(pingPause):
				d.n.env.log.Warn("an agent does not say what it takes", "actor", c.member.Path(), "error", err)
			}
		}
	}
	<-c.gone
	return nil
}

// tunnel hands over a connection that somebody waits for, and returns when it is over.
func (d *door) tunnel(caller *control.Caller) error {
	e := d.n.env.machines.claim(caller.Token, caller.Host)
	if e == nil {
		return errors.New("it has brought a token that is not expected of it")
	}
	t, err := caller.Accept(d.ctx)
	if err == nil {
		e.carry(t)
	}
	return err
}

// full is why no more programs can join, and what to do about it: they may all hang.
func (d *door) full() error {
	var pids []string
	d.n.look(func() {
		for _, c := range d.n.children {
			if c.guest != nil {
				if from := c.guest.caller.Host; from != "" {
					pids = append(pids, "one on "+from)
					continue
				}
				pids = append(pids, strconv.Itoa(c.guest.PID()))
			}
		}
	})
	return fmt.Errorf("%w: %d programs have joined it already, which are the processes %s; end one of them", fault.ErrOverloaded, mostGuests, words.List(pids, ", "))
}

func agentsFull() error {
	return fmt.Errorf("%w: %d agents have joined it already", fault.ErrOverloaded, mostAgents)
}

// join makes a program that has connected a child of the nursery. That it ends, and how,
// concerns no other one, and is no failure of the nursery's: in this it is like a one-shot.
func (d *door) join(caller *control.Caller, hello *wire.BootResponse) (*child, error) {
	spec := Spec{Name: hello.Self.GetName(), Command: []string{"joined"}}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	spec.Health.Off = true // it has no health service, and its end is seen at once
	return d.n.add(d.ctx, &child{spec: spec, guest: &guest{caller: caller, hello: hello, host: d.n, ended: make(chan struct{}), heard: make(chan struct{})}, childState: childState{oneShot: true}})
}

// onlyGuests reports whether all children are programs that have joined. It is called under
// the lock.
func (n *Nursery) onlyGuests() bool {
	for _, c := range n.children {
		if c.guest == nil {
			return false
		}
	}
	return true
}
