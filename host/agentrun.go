package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

type launchCallee = contract.Callee[struct{}, struct{}, launchNews]

// errand is a process that an agent runs for a host: its end of the context. The handler of that owns it, and the
// host's other calls find it by the uuid of its actor. mu guards over and ended, and is held while the way of the link is
// made, so that what that makes is there to be released.
type errand struct {
	*spawned
	seat *seat
	tell func(launchNews)

	mu    sync.Mutex
	over  func() // ends the tunnel; nil if there is none
	ended bool   // the process is gone, and gets no way of a link any more
}

// launch runs a process for the host, until it has ended or ctx has.
func (s *seat) launch(ctx context.Context, o launchOrder, c *launchCallee) (none struct{}, err error) {
	var spec Spec
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return none, err
	}
	if err := spec.Check(); err != nil {
		return none, err
	}
	n, err := s.enter(ctx)
	if err != nil {
		return none, err // before the context has begun: the host chooses again
	}
	defer s.leave()
	if err := c.Started(none); err != nil {
		return none, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return none, err
	}
	e := &errand{seat: s, tell: func(news launchNews) {
		_ = stream.Send(ctx, news) // without its host the errand ends
	}}
	e.spawned = &spawned{
		env: n.env, spec: spec, id: o.ID, client: newPluginClient(n.env.base),
		line: func(l process.Line) { e.tell(launchNews{Line: &l}) },
	}
	if err := s.add(o.ID.UUID, e); err != nil {
		return none, err
	}
	defer s.remove(o.ID.UUID)
	done := make(chan struct{})
	if !s.tasks.Go(func() {
		defer close(done)
		e.run(ctx)
	}) {
		return none, fmt.Errorf("%w: the agent leaves", fault.ErrActorClosing)
	}
	<-done
	return none, nil
}

// run runs the process, and tells the host what becomes of it. When ctx ends, which is that of the context with the host, the
// process is killed: its link has most often been lost with that, and it has no host any more to end it in order.
// The order is that of an incarnation: the process is reaped, then its last words have passed through the tunnel, then
// what go-plugin holds is let go of, and only then the host is told that nothing is left.
func (e *errand) run(ctx context.Context) {
	unfollow := context.AfterFunc(ctx, e.kill)
	err := e.Start(ctx)
	result := launchResult{}
	if err != nil {
		_, result.Lasting = errors.AsType[*lastingError](err)
		result.Failure, result.NoFile = fault.Line(err), cannotExecute(err)
		e.kill()
	}
	proc := e.Process()
	if proc != nil {
		result.PID = proc.PID()
	}
	e.tell(launchNews{Started: &result})
	if proc != nil {
		<-proc.Dead()
		exit, _ := proc.Exit()
		e.tell(launchNews{Exit: &exit})
		<-proc.Done()
		<-proc.Flushed()
	}
	if !unfollow() {
		e.kill() // which may still run
	}
	e.endTunnel()
	e.Release()
	e.tell(launchNews{Reaped: true})
}

// kill kills the process, if there is one yet, and waits for its reaping.
func (e *errand) kill() {
	if proc := e.Process(); proc != nil {
		_ = proc.Kill(context.Background()) // that ctx never ends
	}
}

// endTunnel ends the tunnel of a process that is gone, when its last words have had their time to pass.
func (e *errand) endTunnel() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended = true; e.over != nil {
		e.over()
	}
}

// do does what the host wants of a process.
func (s *seat) do(ctx context.Context, o processOrder) (a processAnswer, err error) {
	switch o.Do {
	case doPing:
		return a, nil
	case doLeave:
		s.dismissed()
		return a, nil
	}
	e := s.find(o.UUID)
	if e == nil {
		return a, fmt.Errorf("%w: this agent runs no process of the actor %.40q", fault.ErrActorClosing, o.UUID)
	}
	proc := e.Process()
	if proc == nil {
		return a, fmt.Errorf("%w: it has no process yet", fault.ErrActorClosing)
	}
	switch o.Do {
	case doListen:
		a.Boot, err = e.listen(ctx, o.Token)
	case doBoot:
		a.Boot, err = e.boot(ctx, o.Boot)
	case doStop:
		err = e.Stop(ctx)
	case doCheck:
		served, failure := e.Check(ctx)
		a.Status, err = int32(served), failure
	case doCurrent:
		err = e.Current()
	case doTerminate:
		err = proc.Terminate()
	case doKill:
		err = signal(proc, stepKill)
	case doLook:
		a.Vitals = proc.Vitals()
	default:
		return a, fmt.Errorf("%.40q is nothing that can be done with a process", o.Do)
	}
	if err != nil {
		of := status.Convert(err)
		a.Code, a.Failure = uint32(of.Code()), of.Message()
	}
	return a, nil
}

// listen makes the way of the link, which leads through a tunnel to the host. The tunnel is dialled first, so that a host
// which cannot be reached fails the start here, with a reason, and not the boot. The child dials the agent, as it
// dials any parent on its machine: hence the pid by which the kernel lets each know the other one.
func (e *errand) listen(ctx context.Context, token []byte) ([]byte, error) {
	tunnel, err := e.seat.dial(ctx, token)
	if err != nil {
		return nil, err
	}
	boot := &wire.BootRequest{Listener: int64(os.Getpid())}
	taken := make(chan (<-chan struct{}), 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended { // while the host was dialled
		tunnel.Abort()
		return nil, fmt.Errorf("%w: the process has ended", fault.ErrActorClosing)
	}
	e.over = func() {
		select {
		case over := <-taken:
			closedWithin(over, drainBound)
		default: // the process has not opened its link
		}
		tunnel.Abort()
	}
	err = e.Listen(ctx, boot, func(t link.Transport) <-chan struct{} {
		over := control.Carry(t, tunnel)
		taken <- over
		return over
	})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(boot)
}

func (e *errand) boot(ctx context.Context, request []byte) ([]byte, error) {
	var boot wire.BootRequest
	if err := proto.Unmarshal(request, &boot); err != nil {
		return nil, err
	}
	hello, err := e.Boot(ctx, &boot)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(hello)
}
