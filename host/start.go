package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// StartError says at which stage the start of an actor failed, and why. Nothing
// of the actor is left.
type StartError struct {
	Actor string
	Stage string // "spec", "program", "handshake", "connection" (foreign programs), "link" or "boot"
	// Lasting says that another start would fail in the same way, since the program or
	// its description is at fault. Such an actor is not restarted.
	Lasting bool
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("actor %q did not start, at its %s: %v", e.Actor, e.Stage, e.Err)
}

// Unwrap gives the reason.
func (e *StartError) Unwrap() error { return e.Err }

var errStartTimeout = errors.New("it was not ready in time")

// start brings the child up: process, handshake, link, boot. If ctx ends, at any
// stage, the process is killed and reaped, and the error is the cause of ctx.
func (i *incarnation) start(ctx context.Context) error {
	bound := orDefault(time.Duration(i.spec.StartTimeout), DefaultStartTimeout)
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

// lasting is a failure of a start that another start would repeat.
type lastingError struct{ error }

// cannotExecute reports whether a program cannot be executed, and not only at the moment.
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

func (i *incarnation) bringUp(ctx context.Context, bound time.Duration) (stage string, err error) {
	var stub *pluginClient
	if i.program, err = findProgram(ctx, i.spec.Command[0]); err == nil {
		stub, err = i.handshake(ctx, bound)
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
	i.client = stub
	i.id.PID = i.proc.Load().PID()
	i.child.n.look(func() { i.child.self = i.id })
	if i.foreign() {
		return i.awaitForeign(ctx)
	}
	broker, err := i.listen(stub)
	if err != nil {
		return "link", i.explainBroker(ctx, err)
	}
	if err := i.boot(ctx, stub, broker); err != nil {
		return "boot", err
	}
	return "", nil
}

// abandon ends a child that did not come up.
func (i *incarnation) abandon() {
	if proc := i.proc.Load(); proc != nil {
		_ = proc.Kill(context.Background()) // waits for the reaping; that ctx never ends
	}
	if i.plugin != nil {
		i.release()
	}
}

// handshake starts the process and lets go-plugin shake hands with it. go-plugin
// knows no ctx, so the end of ctx kills the process, which ends its waiting.
func (i *incarnation) handshake(ctx context.Context, bound time.Duration) (stub *pluginClient, err error) {
	dir, err := rundir.Open()
	if err != nil {
		return nil, err
	}
	noteCgroups(i.env.log)
	i.config = i.clientConfig(ctx, dir, bound)
	if i.identity, err = i.authenticate(i.config); err != nil {
		return nil, err
	}
	i.plugin = plugin.NewClient(i.config)
	shaking := task.Start(func() { stub, err = i.dispense() })
	shaking.Wait()
	if i.identity != nil {
		_ = i.identity.Close() // the child has its own
	}
	return stub, i.explain(err)
}

func (i *incarnation) clientConfig(ctx context.Context, dir string, bound time.Duration) *plugin.ClientConfig {
	config := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: clientMaker{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, scratch string) (runner.Runner, error) {
			return i.runner(ctx, cmd, scratch)
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     bound,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions:  i.dialOptions(),
		Logger:           bridge(i.env.log.With("actor", i.id.String())),
	}
	if i.foreign() {
		i.foreignConfig(config)
	}
	return config
}

// dialOptions are those of the main connection: the child's own, and what the application
// has for it, which is nearer to the wire.
func (i *incarnation) dialOptions() []grpc.DialOption {
	own := i.calls.dialOptions()
	if i.env.dial == nil {
		return own
	}
	return append(own, i.env.dial(i.spec.Name)...)
}

// runner makes the process that go-plugin will start. The process removes scratch
// when it ends; without one, go-plugin would leave it.
func (i *incarnation) runner(ctx context.Context, cmd *exec.Cmd, scratch string) (_ runner.Runner, err error) {
	defer func() {
		if err != nil {
			_ = os.Remove(scratch) // it is empty
		}
	}()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own, err := environ.Join(i.spec.Env)
	if err != nil {
		return nil, err
	}
	files, more := i.inherit()
	env := environ.Merge(environ.Base(), own, more)
	proc := process.New(process.Spec{
		Path: i.program, Args: i.spec.Command[1:], Files: files, Name: i.spec.Command[0], Title: i.title(), Dir: i.spec.Dir, Env: env,
		SHA256: i.spec.SHA256, Scratch: scratch, Cgroup: true, Limits: limits(i.spec.Limits), Gist: gist, Log: newLogger(i.env.lines, i.id, len(i.spec.Actors) > 0).line,
	}, cmd)
	i.proc.Store(proc)
	if i.foreign() {
		i.config.SyncStdout, i.config.SyncStderr = proc.Aside(process.Stdout), proc.Aside(process.Stderr)
	}
	stop := context.AfterFunc(ctx, func() { _ = proc.Kill(context.Background()) })
	i.unfollow = stop
	return proc.Runner(), nil
}

// title is what ps shows of an actor; a foreign program does not bear one.
func (i *incarnation) title() string {
	if i.foreign() {
		return ""
	}
	return i.id.Title()
}

// findProgram finds the file to execute; it is "" with an error.
func findProgram(ctx context.Context, path string) (string, error) {
	if !strings.ContainsRune(path, os.PathSeparator) {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", path, err)
		}
		path = found
	}
	if err := rebuild(ctx, path); err != nil {
		return "", err
	}
	return path, nil
}

func (i *incarnation) dispense() (*pluginClient, error) {
	if _, err := i.plugin.Start(); err != nil {
		return nil, err
	}
	protocol, err := i.plugin.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(wire.PluginName)
	if err != nil {
		return nil, err
	}
	return raw.(*pluginClient), nil
}

// explain says what went wrong in a handshake: what the process did tells more
// than what go-plugin missed.
func (i *incarnation) explain(err error) error {
	proc := i.proc.Load()
	if err == nil || proc == nil {
		return err
	}
	if bad := proc.HandshakeError(); bad != nil {
		return bad
	}
	if start, ok := errors.AsType[*process.StartError](err); ok {
		return start
	}
	i.within(proc.Dead(), drainBound)
	exit, ended := proc.Exit()
	if !ended || exit.Signal == syscall.SIGKILL { // go-plugin killed it, and says why
		text := strings.TrimSpace(err.Error())
		if i.foreign() {
			text = foreignHandshake(i.spec.GoPlugin, text, exit.LastLog)
		}
		if strings.Contains(text, "API version with plugin") { // all that go-plugin tells
			return &lastingError{errors.New(text)}
		}
		return errors.New(text)
	}
	question := "is it a plugin that is built with sdk.Serve?"
	if i.foreign() {
		question = "is its cookie (goplugin.cookie) the right one?"
	}
	return fmt.Errorf("the program ended before it shook hands; %s %w", question,
		&process.ExitError{Name: i.spec.Name, PID: proc.PID(), Exit: exit})
}

// explainBroker says why go-plugin's broker has closed, which does not know it itself: its
// stream was not opened or is over, since the connection failed at the first attempt.
func (i *incarnation) explainBroker(ctx context.Context, err error) error {
	if _, cause := i.client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService}); cause != nil {
		return fmt.Errorf("%w: go-plugin's connection to it failed: %s", err, status.Convert(cause).Message())
	}
	return fmt.Errorf("%w: go-plugin's connection to it had failed at first, and works now", err)
}

// listen serves the child's link on a brokered connection.
func (i *incarnation) listen(stub *pluginClient) (broker uint32, err error) {
	broker = stub.broker.NextId()
	ln, err := stub.broker.Accept(broker)
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
		grpc.WaitForHandlers(true), // so that after Stop a link that has come is in linked
	)
	wire.RegisterLinkServer(i.server, links)
	i.serving = task.Start(func() { i.serve(entry) })
	return broker, nil
}

func (i *incarnation) serve(entry *linkListener) {
	if err := i.server.Serve(entry); err != nil && !entry.shut.Load() {
		i.env.log.Error("the link's server has failed", "actor", i.id.String(), "error", err)
	}
}

func (i *incarnation) newTable(t link.Transport) *dialog.Table {
	log := i.env.log.With("actor", i.env.self.String())
	return dialog.NewTable(link.New(t, link.Config{Self: i.env.self, Log: log}), dialog.Config{
		Base: i.env.base, Accept: i.env.exposed.Accept, Log: log,
		Receiving: i.env.receive, CancelTimeout: boundsOf(i.spec).cancel, Stuck: i.onStuckTask,
	})
}

// boot tells the child who it is and waits until it is ready.
func (i *incarnation) boot(ctx context.Context, stub *pluginClient, broker uint32) error {
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
	answer, err := stub.actor.Boot(ctx, request)
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
	i.endpoints, i.connection = answer.Endpoints, linkConnection{i.table}
	return i.checkHealthEndpoint()
}

// checkHealthEndpoint refuses a child that could never be healthy.
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

// lastWords is how long a child that failed to boot may take to say why.
const explainBound = time.Second

// bootFailure prefers what the child or its process said itself to the transport's
// view of it. A child that refuses says so in its answer and does nothing more.
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
	if i.within(proc.Dead(), explainBound) {
		return i.deathOf(proc)
	}
	return errors.New(refused.Message())
}

// linkFailure is what the link tells of a failed boot: why this host itself has refused it, or
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
	i.within(l.Done(), explainBound)
	if _, reason := l.Farewell(); reason != nil {
		return reason
	}
	if refusal := l.Err(); errors.Is(refusal, fault.ErrProtocol) {
		return &lastingError{refusal}
	}
	return nil
}

// pluginClient is the host's hold on go-plugin's main connection to one child.
type pluginClient struct {
	conn   *grpc.ClientConn
	actor  wire.ActorClient
	health healthpb.HealthClient
	broker *plugin.GRPCBroker
}

// clientMaker makes clients for go-plugin.
type clientMaker struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer is the plugin's half, which this program is not.
func (clientMaker) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("package host calls plugins; package sdk serves them")
}

// GRPCClient wraps the connection to a plugin.
func (clientMaker) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &pluginClient{conn: conn, actor: wire.NewActorClient(conn), health: healthpb.NewHealthClient(conn), broker: broker}, nil
}
