package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var errStartTimeout = errors.New("it was not ready in time")

// start brings the child up: process, handshake, link, boot. If ctx ends, at any stage,
// the process is killed and reaped, and the error is the cause of ctx.
//
// One bound holds for all stages together. go-plugin is given the same one for its
// handshake, but the ctx is what counts. The start has succeeded when the killing at the
// end of ctx could be taken back (unfollow): if it could not, ctx ended at the last
// moment, the process is being killed, and so the start has failed although every stage
// was passed.
func (i *incarnation) start(ctx context.Context) error {
	bound := time.Duration(i.spec.WithDefaults().StartTimeout)
	limited, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%w (%v)", errStartTimeout, bound))
	defer cancel()
	stage, err := i.bringUp(limited, bound)
	if err == nil && i.unfollow() {
		return nil
	}
	i.abandon()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if limited.Err() != nil {
		err = fmt.Errorf("%w%s", context.Cause(limited), i.waitsFor)
	}
	failure := &StartError{Actor: i.spec.Name, Stage: stage, Err: err}
	if own, ok := errors.AsType[*lastingError](err); ok {
		failure.Lasting, failure.Err = true, own.error
	}
	return failure
}

// bringUp goes through the stages of a start, and names the one that has failed. "program"
// is whatever keeps a process from being there at all; everything after that, until
// go-plugin is connected, is "handshake". The pid is reported as soon as it is known,
// before the child can be called, so that events of a start that hangs name the process.
func (i *incarnation) bringUp(ctx context.Context, bound time.Duration) (stage string, err error) {
	if i.program, err = findProgram(ctx, i.spec); err == nil {
		err = i.handshake(ctx, bound)
	}
	_, unstarted := errors.AsType[*process.StartError](err)
	switch {
	case err != nil && cannotExecute(err):
		return "program", &lastingError{err}
	case unstarted || i.program == "":
		return "program", err
	case err != nil:
		return "handshake", err
	}
	i.id.PID = i.proc.Load().PID()
	i.owner.identified(i.id)
	if i.foreign() {
		return i.awaitForeign(ctx)
	}
	broker, err := i.listen()
	if err != nil {
		return "link", i.explainBroker(ctx, err)
	}
	if err := i.boot(ctx, broker); err != nil {
		return "boot", err
	}
	return "", nil
}

// abandon ends a child that did not come up. It is killed without being asked, since
// nobody has called it yet. It is safe at any stage: what is not there is not released.
func (i *incarnation) abandon() {
	if proc := i.proc.Load(); proc != nil {
		_ = proc.Kill(context.Background()) // waits for the reaping; that ctx never ends
	}
	if i.plugin != nil {
		i.release()
	}
}

// findProgram finds the file to execute; it is "" with an error. A name without a slash is
// looked for in the PATH of this host, and not of the child's environment, as os/exec does
// it too.
func findProgram(ctx context.Context, spec Spec) (string, error) {
	path := spec.Command[0]
	if !strings.ContainsRune(path, os.PathSeparator) {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", path, err)
		}
		path = found
	}
	if err := rebuild(ctx, spec); err != nil {
		return "", err
	}
	return path, nil
}

// cannotExecute reports whether a program cannot be executed, and not only at the moment.
// A lack of processes, memory or descriptors is over at some time, and so is worth a
// restart; a file that is missing, forbidden, no program or another one than its checksum
// says is not.
func cannotExecute(err error) bool {
	if errors.Is(err, exec.ErrNotFound) {
		return true
	}
	start, ok := errors.AsType[*process.StartError](err)
	if !ok {
		return false
	}
	_, wrongSum := errors.AsType[*process.ChecksumError](start.Err)
	return wrongSum || slices.ContainsFunc([]error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC, syscall.EISDIR, syscall.ENOTDIR},
		func(target error) bool { return errors.Is(start.Err, target) })
}

// listen serves the child's link on a brokered connection. The broker opens a socket and
// announces its id over the main connection; the child learns from Boot which id that is.
//
// The first link is taken and every other one refused, and nobody new is let in from then
// on. The table is made on the server's goroutine, before anything is read, and handed
// over through i.links. The handler of gRPC's stream has to live as long as the link,
// hence the channel that is returned.
func (i *incarnation) listen() (broker uint32, err error) {
	broker = i.client.broker.NextId()
	ln, err := i.client.broker.Accept(broker)
	if err != nil {
		return 0, err
	}
	entry := &linkListener{Listener: ln}
	links := link.NewServer(func(t link.Transport) <-chan struct{} {
		entry.close()
		table := i.newTable(t)
		i.links <- table
		return table.Link().Done()
	})
	i.address = ln.Addr()
	i.server = grpc.NewServer(
		grpc.Creds(links.Credentials(i.config.TLSConfig, i.proc.Load().PID())),
		grpc.InitialWindowSize(link.StreamWindow), grpc.InitialConnWindowSize(link.ConnWindow),
		grpc.MaxRecvMsgSize(link.MaxPacket), grpc.ForceServerCodecV2(wire.PacketCodec{}),
		grpc.ConnectionTimeout(handshakeBound),
		grpc.WaitForHandlers(true), // so that after Stop a link that has come is in i.links
	)
	wire.RegisterLinkServer(i.server, links)
	i.serving = task.Start(func() { i.serve(entry) })
	return broker, nil
}

// serve takes in the child's link, until release stops the server.
func (i *incarnation) serve(entry *linkListener) {
	if err := i.server.Serve(entry); err != nil && !entry.shut.Load() {
		i.env.log.Error("the link's server has failed", "actor", i.id.String(), "error", err)
	}
}

// newTable makes the table of the dialogs over a link that has come. It starts to read at
// once: calls of the child may come before its boot has been answered. base is the ctx of
// the nursery, so that its end ends what the child has called here.
func (i *incarnation) newTable(t link.Transport) *dialog.Table {
	log := i.env.log.With("actor", i.env.self.String())
	return dialog.NewTable(link.New(t, link.Config{Self: i.env.self, Log: log}), dialog.Config{
		Base: i.env.base, Accept: i.env.exposed.Accept, Log: log,
		Receiving: i.env.receive, CancelTimeout: boundsOf(i.spec).cancel, Stuck: i.watch.onStuckTask,
	})
}

// explainBroker says why go-plugin's broker has closed, which does not know it itself: its
// stream was not opened or is over, since the connection failed at the first attempt.
// go-plugin opens that stream once, drops its error, and never opens it again. A health
// check makes gRPC connect once more, and so shows the error that was dropped, if it is
// still there.
func (i *incarnation) explainBroker(ctx context.Context, err error) error {
	if _, cause := i.client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService}); cause != nil {
		return fmt.Errorf("%w: go-plugin's connection to it failed: %s", err, status.Convert(cause).Message())
	}
	return fmt.Errorf("%w: go-plugin's connection to it had failed at first, and works now", err)
}

// boot tells the child who it is and waits until it is ready: its boot was answered, its
// link has come, and the first frame on it (HELLO) was read. The child opens its link
// before it answers, but over another connection, so that either may arrive first.
//
// waitsFor is kept up to date for an error that the end of the start's bound makes: it
// says what was missing then. The address of the listener is told only to a child that has
// an identity, which it needs for a direct connection; the others go through the broker.
func (i *incarnation) boot(ctx context.Context, broker uint32) error {
	request := &wire.BootRequest{
		Broker: broker, Parent: wire.FromID(i.env.self), Self: wire.FromID(i.id),
		CancelTimeout: int64(boundsOf(i.spec).cancel),
	}
	receiving(i.spec.Streams).Tell(request)
	if i.identity != nil {
		request.Network, request.Address = i.address.Network(), i.address.String()
	}
	if len(i.spec.Actors) > 0 {
		tree, err := json.Marshal(config.Tree{Name: i.spec.Name, Actors: i.spec.Actors, Supervision: i.spec.Supervision})
		if err != nil {
			return err
		}
		request.Tree = tree
	}
	i.waitsFor = ": it has not answered its boot request"
	answer, err := i.client.actor.Boot(ctx, request)
	if err != nil {
		return i.bootFailure(err)
	}
	i.waitsFor = ": it has booted, and not opened its link"
	select {
	case i.table = <-i.links:
	case <-i.proc.Load().Done(): // it may have died before its link was taken in
		return cmp.Or(i.linkFailure(), i.deathOf(i.proc.Load()))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	i.waitsFor = ": its link is open, and it has not said HELLO on it"
	select {
	case <-i.table.Link().Greeted():
	case <-i.table.Link().Done():
		return cmp.Or(i.linkFailure(), fmt.Errorf("the link ended before it began: %w", i.table.Link().Err()))
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
	proc := i.proc.Load()
	select {
	case i.table = <-i.links:
	case <-proc.Dead():
	case <-time.After(explainBound):
	}
	if failure := i.linkFailure(); failure != nil {
		return failure
	}
	if closedWithin(proc.Dead(), explainBound) {
		return i.deathOf(proc)
	}
	return errors.New(refused.Message())
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

// Bounds of the listener that a child's link comes through.
const (
	// mostCallers is how many connections it takes. A child needs one, or two if it
	// tries a direct connection first.
	mostCallers = 8
	// handshakeBound is how long one of them may take to say who it is.
	handshakeBound = 20 * time.Second
)

// linkListener is a listener that is shut when the one connection it is for has come, and when
// too many others have.
//
// gRPC's server owns it and calls Accept on one goroutine; close may be called on any, and
// more than once. shut also tells serve that the failure of Accept was meant. A plugin
// that opens connections without end costs the host mostCallers descriptors, and its own
// start.
type linkListener struct {
	net.Listener
	callers int // of Accept alone
	shut    atomic.Bool
}

var errLinkTaken = errors.New("the link is connected already, or too many others have connected")

// Accept takes the next connection. It is called by one goroutine.
func (d *linkListener) Accept() (net.Conn, error) {
	if d.callers++; d.callers > mostCallers {
		d.close()
		return nil, errLinkTaken
	}
	return d.Listener.Accept()
}

// close lets nobody in any more.
func (d *linkListener) close() {
	if !d.shut.Swap(true) {
		_ = d.Close() // whoever is in stays
	}
}

// awaitForeign waits until a foreign program answers. Any answer will do: its health is
// checked later. go-plugin's handshake does not wait for the connection, so that without
// this call a program that cannot be reached would count as ready.
//
// go-plugin makes a TLS configuration with AutoMTLS in any case, and adds the certificate
// of the program as its root if there was one in the handshake line: without roots, the
// program does not know AutoMTLS. That is said here, as gRPC would only say that it cannot
// connect.
func (i *incarnation) awaitForeign(ctx context.Context) (stage string, err error) {
	if tls := i.config.TLSConfig; secured(i.spec.GoPlugin) && (tls == nil || tls.RootCAs == nil) {
		return "handshake", errors.New("expected a certificate in its handshake line, there is none: " +
			"this program knows no AutoMTLS; set goplugin.mtls to off")
	}
	_, err = i.client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService})
	answers := []codes.Code{codes.OK, codes.Unimplemented, codes.NotFound}
	if !slices.Contains(answers, status.Code(err)) {
		key := "it took no TLS: if it does not use the certificate that it was sent (AutoMTLS), set goplugin.mtls to off"
		if !secured(i.spec.GoPlugin) {
			key = "goplugin.mtls is off: if its own host uses AutoMTLS, set it to auto"
		}
		return "connection", fmt.Errorf("%s; %s", status.Convert(err).Message(), key)
	}
	i.connection = newForeignConnection(i.client)
	return "", nil
}
