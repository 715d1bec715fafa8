package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var errStartTimeout = errors.New("it was not ready in time")

// start brings the child up: process, handshake, link, boot. What was taken from standby has the
// first two of them behind it; if it turns out not to be fit, all begins with another process.
func (i *incarnation) start(ctx context.Context) error {
	return i.execution.start(ctx, i.enter, i.bringUp, i.release)
}

// start brings a process up by all the stages of bringUp. If ctx ends, at any stage, the process
// is killed and reaped, and the error is the cause of ctx.
//
// One bound holds for all stages together, and for enter, which comes before them and may put
// another process in the place of this one. The start has succeeded when the killing at the
// end of ctx could be taken back (unfollow): if it could not, ctx ended at the last
// moment, the process is being killed, and so the start has failed although every stage
// was passed.
func (x *execution) start(ctx context.Context, enter func(context.Context), bringUp func(context.Context) (stage string, err error), release func()) error {
	bound := time.Duration(x.spec.WithDefaults().StartTimeout)
	limited, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%w (%v)", errStartTimeout, bound))
	defer cancel()
	enter(limited)
	unfollow := context.AfterFunc(limited, x.kill)
	stage, err := bringUp(limited)
	if lives := unfollow(); lives && err == nil {
		return nil
	}
	x.kill() // without being asked: nobody has called it yet
	release()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if limited.Err() != nil {
		if r, ok := x.program.(*remote); ok && x.waitsFor == "" {
			x.waitsFor = r.waitsFor(": ")
		}
		err = fmt.Errorf("%w%s", context.Cause(limited), x.waitsFor)
	}
	failure := &StartError{Actor: x.spec.Name, Stage: stage, Err: err}
	if own, ok := errors.AsType[*lastingError](err); ok {
		failure.Lasting, failure.Err = true, own.error
	}
	return failure
}

// bringUp goes through the stages of a start, and names the one that has failed. The pid is
// reported before the child can be called.
func (i *incarnation) bringUp(ctx context.Context) (stage string, err error) {
	if ctx.Err() != nil { // a spare may not have been looked at to the end
		return "handshake", context.Cause(ctx)
	}
	if !i.warm {
		if stage, err := i.execute(ctx, i.owner.identified); err != nil {
			return stage, err
		}
		if stage, err := i.listen(ctx); err != nil {
			return stage, err
		}
	}
	if i.foreign() {
		return "connection", i.awaitForeign(ctx)
	}
	return "boot", i.boot(ctx, i.told)
}

// listen makes the way that the link will come by. A foreign program has none.
func (i *incarnation) listen(ctx context.Context) (stage string, err error) {
	if i.foreign() {
		return "", nil
	}
	if i.told, err = i.bootRequest(); err != nil {
		return "boot", err
	}
	return "link", i.program.Listen(ctx, i.told, i.take)
}

// enter makes a spare ready for its boot, within the bound of a health check: what hangs is found
// here, and not by whoever calls the actor. Half of the start's time is left for another process,
// which takes the place of one that is not fit. If ctx has ended, the start will say so.
func (i *incarnation) enter(ctx context.Context) {
	if !i.warm {
		return
	}
	s := i.spec.WithDefaults()
	bound := time.Duration(min(s.Health.Timeout, s.StartTimeout/2))
	checking, stop := context.WithTimeoutCause(ctx, bound, fmt.Errorf("it has not answered within %v", bound))
	defer stop()
	i.waitsFor = ": its spare has not answered"
	err := i.fit(checking)
	if ctx.Err() != nil {
		return
	}
	i.waitsFor = ""
	if err != nil {
		i.discard(checking, err)
	}
}

// fit says why a spare cannot be the actor's process. It is listened to while it is asked.
func (i *incarnation) fit(ctx context.Context) error {
	if err := i.program.Current(); err != nil {
		return err
	}
	var silent error
	asking := task.Start(func() { silent = i.answers(ctx) })
	_, err := i.listen(ctx)
	if asking.Wait(); silent != nil {
		return cmp.Or(causeOf(ctx), silent)
	}
	return err
}

// discard ends a spare that is not fit, and puts a process in its place that is still to be
// started. Nobody has called it, and so it is only asked to run its exit hooks, while ctx lasts.
func (i *incarnation) discard(ctx context.Context, why error) {
	if i.program.Stop(ctx) == nil {
		_ = task.Await(ctx, i.program.Process().Dead()) // else it is killed
	}
	i.kill()
	i.release()
	fresh := newExecution(i.env, i.spec, actor.NewID(i.spec.Name))
	i.telling.Store(false)
	i.speaking.Store(false)
	i.owner.discarded(why, func() {
		i.id, i.program, i.client, i.table, i.warm = fresh.id, fresh.program, fresh.client, nil, false
	})
}

// cannotExecute reports whether a program cannot be executed, and not only at the moment.
// A lack of processes, memory or descriptors is over at some time, and so is worth a
// restart; a file that is missing, forbidden, no program or another one than its checksum
// says is not.
func cannotExecute(err error) bool {
	if errors.Is(err, exec.ErrNotFound) {
		return true
	}
	if there, ok := errors.AsType[*startFailure](err); ok {
		return there.NoFile
	}
	start, ok := errors.AsType[*process.StartError](err)
	if !ok {
		return false
	}
	_, wrongSum := errors.AsType[*process.ChecksumError](start.Err)
	return wrongSum || slices.ContainsFunc([]error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC, syscall.EISDIR, syscall.ENOTDIR},
		func(target error) bool { return errors.Is(start.Err, target) })
}

// take takes in the child's link, on a goroutine of whoever has accepted it.
func (i *incarnation) take(t link.Transport) (over <-chan struct{}) {
	table := i.newTable(t)
	i.links <- table
	return table.Link().Done()
}

// newTable makes the table of the dialogs over a link that has come. It starts to read at
// once: calls of the child may come before its boot has been answered. base is the ctx of
// the nursery, so that its end ends what the child has called here.
func (i *incarnation) newTable(t link.Transport) *dialog.Table {
	log := i.env.log.With("actor", i.env.self.String())
	return dialog.NewTable(link.New(i.env.taps[i.spec.Name].Tap(t, i.id), link.Config{Self: i.env.self, Peer: i.id, Log: log}), dialog.Config{
		Base: i.env.base, Accept: i.accept, Runtime: i.runtime, Route: i.route, Admit: i.admit, Log: log,
		Spans: i.env.spans, Receiving: i.env.receive, CancelTimeout: boundsOf(i.spec).cancel, Stuck: i.watch.onStuckTask,
		Trials: dialog.DefaultTrials,
	})
}

// bootRequest is what the child is told of itself. Where its link goes to is not in it yet.
func (i *incarnation) bootRequest() (*wire.BootRequest, error) {
	request := &wire.BootRequest{
		Parent: wire.FromID(i.env.self), Self: wire.FromID(i.id), Path: i.hosted.Path(),
		CancelTimeout: int64(boundsOf(i.spec).cancel),
		Root:          wire.FromID(i.env.router.Root), Spans: i.env.spans != nil,
	}
	life.TellReceiving(request, receiving(i.spec.Streams))
	if len(i.spec.Actors) > 0 {
		tree, err := json.Marshal(config.Tree{Name: i.spec.Name, Actors: i.spec.Actors, Supervision: i.spec.Supervision})
		if err != nil {
			return nil, err
		}
		request.Tree = tree
	}
	return request, nil
}

// boot tells the child who it is and waits until it is ready: its boot was answered, its
// link has come, and the first frame on it (HELLO) was read. The child opens its link
// before it answers, but over another connection, so that either may arrive first.
//
// waitsFor is kept up to date for an error that the end of the start's bound makes: it
// says what was missing then.
func (i *incarnation) boot(ctx context.Context, request *wire.BootRequest) error {
	i.waitsFor = ": it has not answered its boot request"
	answer, err := i.program.Boot(ctx, request)
	if err != nil {
		return i.bootFailure(err)
	}
	i.span.Event("booted")
	i.waitsFor = ": it has booted, and not opened its link"
	select {
	case i.table = <-i.links:
	case <-i.program.Process().Done(): // it may have died before its link was taken in
		if failure := i.linkFailure(); failure != nil || i.table == nil {
			return cmp.Or(failure, i.causeOfExit())
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	i.waitsFor = ": its link is open, and it has not said HELLO on it"
	select {
	case <-i.table.Link().Greeted():
		i.span.Event("link")
	case <-i.table.Link().Done():
		if !isClosed(i.table.Link().Greeted()) { // else it was up, and has ended since
			return cmp.Or(i.linkFailure(), i.exitFailure(), fmt.Errorf("the link ended before it began: %w", i.table.Link().Err()))
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	i.endpoints, i.connection = answer.Endpoints, linkConnection{i.client, i.table}
	return i.checkHealthEndpoint()
}

// checkHealthEndpoint refuses a child that could never be healthy, as soon as it is known
// what it serves: otherwise it would be restarted again and again. The failure is lasting.
func (i *incarnation) checkHealthEndpoint() error {
	name := i.spec.Health.Endpoint
	if name == "" || i.spec.Health.Off {
		return nil
	}
	missing := &fault.NotExposed{Actor: i.id, Endpoint: name, Kind: dialog.KindName(dialog.Func)}
	for _, e := range i.endpoints {
		switch {
		case e.Name != name:
			missing.Exposed = append(missing.Exposed, e.Name)
		case e.Kind == dialog.Func:
			return nil
		default:
			missing.Actual = dialog.KindName(e.Kind)
		}
	}
	return &lastingError{fmt.Errorf("health.endpoint: %w", missing)}
}

// explainBound is how long a child that failed to boot may take to say why. It is also how
// long its process may take to end after that; a start that fails may so take two of them
// longer.
const explainBound = time.Second

// bootFailure prefers what the child or its process said itself to the transport's view of
// it. A child that refuses says so in its answer and does nothing more. In any other case
// the child may have opened its link and said on it why it fails, or may have died, and
// the error of the call is only a consequence: so both are given a while to show.
func (i *incarnation) bootFailure(err error) error {
	refused := status.Convert(err)
	if refused.Code() == codes.FailedPrecondition {
		return &lastingError{errors.New(refused.Message())}
	}
	dead := i.program.Process().Dead()
	select {
	case i.table = <-i.links:
	case <-dead:
	case <-time.After(explainBound):
	}
	if failure := i.linkFailure(); failure != nil {
		return failure
	}
	closedWithin(dead, explainBound)
	return cmp.Or(i.exitFailure(), errors.New(refused.Message()))
}

// exitFailure is how the process has ended; nil if it lives.
func (i *incarnation) exitFailure() error {
	if !isClosed(i.program.Process().Dead()) {
		return nil
	}
	return i.causeOfExit()
}

// linkFailure is what the link knows about a failed boot: why this host itself has refused it, or
// the child's own last words; nil if it tells neither.
func (i *incarnation) linkFailure() error {
	if i.table == nil {
		select {
		case i.table = <-i.links: // it had come before the child ended
		default:
			return nil
		}
	}
	l := i.table.Link()
	closedWithin(l.Done(), explainBound)
	if _, reason := l.Farewell(); reason != nil {
		return reason
	}
	if refusal := l.Err(); errors.Is(refusal, fault.ErrProtocol) {
		return &lastingError{refusal}
	}
	return nil
}

// awaitForeign waits until a foreign program answers. Any answer will do: its health is
// checked later. go-plugin's handshake does not wait for the connection, so that without
// this call a program that cannot be reached would count as ready.
func (i *incarnation) awaitForeign(ctx context.Context) error {
	if err := i.answers(ctx); err != nil {
		key := "it took no TLS: if it does not use the certificate that it was sent (AutoMTLS), set goplugin.mtls to off"
		if !secured(i.spec.GoPlugin) {
			key = "goplugin.mtls is off: if its own host uses AutoMTLS, set it to auto"
		}
		return fmt.Errorf("%w; %s", err, key)
	}
	i.connection = newForeignConnection(i.client)
	return nil
}

// answers asks a program for its health, and takes any answer.
func (x *execution) answers(ctx context.Context) error {
	_, err := x.program.Check(ctx)
	if slices.Contains([]codes.Code{codes.OK, codes.Unimplemented, codes.NotFound}, status.Code(err)) {
		return nil
	}
	return errors.New(status.Convert(err).Message())
}
