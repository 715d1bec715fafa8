package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ErrServed is what a nursery fails with that is to serve at an address where another host
// does ([Options.Serve]). A program that does not mind whose tree it is calls [Join] then.
var ErrServed = control.ErrServed

const (
	mostGuests = 64                     // programs that have joined, or are about to
	doorPause  = 100 * time.Millisecond // after a failure of the socket, as for lack of descriptors
)

// door is where other programs join a nursery. From when it is open one goroutine of the nursery's listens
// there, and each program has one from when it connects until it is gone. Whoever has connected before
// that waits. The door is shut when the nursery's ctx ends, and
// when it has nothing left to do.
type door struct {
	n        *Nursery
	listener *control.Listener
	ctx      context.Context // ends when the door is shut
	close    context.CancelFunc
	places   chan struct{} // as many as there may be
}

// serve makes the door at an address; there is none if that is empty.
func (n *Nursery) serve(address string) (*door, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // a door that is nil is shut
	}
	listener, err := control.Listen(address)
	if err != nil {
		return nil, err
	}
	d := &door{n: n, listener: listener, places: make(chan struct{}, mostGuests)}
	d.ctx, d.close = context.WithCancel(n.ctx)
	return d, nil
}

// open lets programs in.
func (d *door) open() {
	if d != nil {
		d.n.tasks.Go(d.attend)
	}
}

// shut lets nobody in any more.
func (d *door) shut() {
	if d != nil {
		d.close()
		d.listener.Close() // it may never have been open
	}
}

// attend lets programs in until the door is shut.
func (d *door) attend() {
	defer d.listener.Close() // waits for the other one
	defer context.AfterFunc(d.ctx, d.listener.Close)()
	for d.ctx.Err() == nil {
		caller, err := d.listener.Accept()
		if err == nil {
			d.admit(caller)
			continue
		}
		if d.ctx.Err() != nil {
			return
		}
		d.n.env.log.Warn("a program could not join", "at", d.listener.Path(), "error", err)
		if _, stranger := errors.AsType[*control.Stranger](err); !stranger {
			select {
			case <-time.After(doorPause):
			case <-d.ctx.Done():
			}
		}
	}
}

// admit gives a program a place, if there is one, and a goroutine that stays until it is gone.
func (d *door) admit(caller *control.Caller) {
	select {
	case d.places <- struct{}{}:
	default:
		caller.Refuse(d.ctx, fmt.Errorf("%w: %d programs have joined it already", fault.ErrOverloaded, mostGuests), d.n.env.self)
		return
	}
	admitted := d.n.tasks.Go(func() {
		defer func() { <-d.places }()
		defer caller.Close()
		if c, err := d.join(caller); err != nil {
			d.n.env.log.Warn("a program could not join", "at", d.listener.Path(), "pid", caller.PID, "error", err)
			caller.Refuse(d.ctx, err, d.n.env.self)
		} else {
			<-c.gone
		}
	})
	if !admitted { // the nursery has ended meanwhile
		caller.Close()
		<-d.places
	}
}

// join makes a program that has connected a child of the nursery. That it ends, and how, concerns no
// other one, and is no failure of the nursery's: in this it is like a one-shot.
func (d *door) join(caller *control.Caller) (*child, error) {
	hello, err := caller.Hear(d.ctx)
	if err != nil {
		return nil, err
	}
	spec := Spec{Name: hello.Self.GetName(), Command: []string{"joined"}}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	spec.Health.Off = true // it has no health service, and its end is seen at once
	return d.n.add(d.ctx, &child{spec: spec, guest: newGuest(d.n, caller, hello), childState: childState{oneShot: true}})
}

// onlyGuests reports whether all children are programs that have joined. It is called under the lock.
func (n *Nursery) onlyGuests() bool {
	for _, c := range n.children {
		if c.guest == nil {
			return false
		}
	}
	return true
}
