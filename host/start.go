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
func (c *child) start(ctx context.Context) error {
	bound := orDefault(time.Duration(c.spec.StartTimeout), DefaultStartTimeout)
	limited, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%w (%v)", errStartTimeout, bound))
	defer cancel()
	stage, err := c.climbUp(limited, bound)
	if err == nil && c.unfollow() {
		return nil
	}
	c.abandon()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if limited.Err() != nil {
		err = fmt.Errorf("%w%s", context.Cause(limited), c.lacking)
	}
	failure := &StartError{Actor: c.spec.Name, Stage: stage, Err: err}
	if own, ok := errors.AsType[*lasting](err); ok {
		failure.Lasting, failure.Err = true, own.error
	}
	return failure
}

// lasting is a failure of a start that another start would repeat.
type lasting struct{ error }

// unfit reports whether a program cannot be executed, and not only at the moment.
func unfit(err error) bool {
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

func (c *child) climbUp(ctx context.Context, bound time.Duration) (stage string, err error) {
	var stub *seam
	if c.program, err = findProgram(ctx, c.spec.Command[0]); err == nil {
		stub, err = c.handshake(ctx, bound)
	}
	_, unstarted := errors.AsType[*process.StartError](err)
	switch {
	case err != nil && unfit(err):
		return "program", &lasting{err}
	case unstarted || c.program == "":
		return "program", err
	case err != nil:
		return "handshake", err
	}
	c.main = stub
	c.id.PID = c.proc.Load().PID()
	c.seat.n.look(func() { c.seat.self = c.id })
	if c.foreign() {
		return c.meet(ctx)
	}
	broker, err := c.listen(stub)
	if err != nil {
		return "link", c.explainBroker(ctx, err)
	}
	if err := c.boot(ctx, stub, broker); err != nil {
		return "boot", err
	}
	return "", nil
}

// abandon ends a child that did not come up.
func (c *child) abandon() {
	if proc := c.proc.Load(); proc != nil {
		_ = proc.Kill(context.Background()) // waits for the reaping; that ctx never ends
	}
	if c.client != nil {
		c.release()
	}
}

// handshake starts the process and lets go-plugin shake hands with it. go-plugin
// knows no ctx, so the end of ctx kills the process, which ends its waiting.
func (c *child) handshake(ctx context.Context, bound time.Duration) (stub *seam, err error) {
	dir, err := process.RuntimeDir()
	if err != nil {
		return nil, err
	}
	noteCgroups(c.env.log)
	c.config = c.clientConfig(ctx, dir, bound)
	if c.identity, err = c.authenticate(c.config); err != nil {
		return nil, err
	}
	c.client = plugin.NewClient(c.config)
	shaking := task.Start(func() { stub, err = c.dispense() })
	shaking.Wait()
	if c.identity != nil {
		_ = c.identity.Close() // the child has its own
	}
	return stub, c.explain(err)
}

func (c *child) clientConfig(ctx context.Context, dir string, bound time.Duration) *plugin.ClientConfig {
	config := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: seamPlugin{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, scratch string) (runner.Runner, error) {
			return c.runner(ctx, cmd, scratch)
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     bound,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions:  c.dialOptions(),
		Logger:           bridge(c.env.log.With("actor", c.id.String())),
	}
	if c.foreign() {
		c.befriend(config)
	}
	return config
}

// dialOptions are those of the main connection: the child's own, and what the application
// has for it, which is nearer to the wire.
func (c *child) dialOptions() []grpc.DialOption {
	own := c.fate.dialOptions()
	if c.env.dial == nil {
		return own
	}
	return append(own, c.env.dial(c.spec.Name)...)
}

// runner makes the process that go-plugin will start. The process removes scratch
// when it ends; without one, go-plugin would leave it.
func (c *child) runner(ctx context.Context, cmd *exec.Cmd, scratch string) (_ runner.Runner, err error) {
	defer func() {
		if err != nil {
			_ = os.Remove(scratch) // it is empty
		}
	}()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own, err := environ.Join(c.spec.Env)
	if err != nil {
		return nil, err
	}
	files, more := c.inherit()
	env := environ.Merge(environ.Base(), own, more)
	proc := process.New(process.Spec{
		Path: c.program, Args: c.spec.Command[1:], Files: files, Name: c.spec.Command[0], Title: c.title(), Dir: c.spec.Dir, Env: env,
		SHA256: c.spec.SHA256, Scratch: scratch, Cgroup: true, Limits: limits(c.spec.Limits), Gist: gist, Log: newLogger(c.env.lines, c.id, len(c.spec.Actors) > 0).line,
	}, cmd)
	c.proc.Store(proc)
	if c.foreign() {
		c.config.SyncStdout, c.config.SyncStderr = proc.Aside(process.Stdout), proc.Aside(process.Stderr)
	}
	stop := context.AfterFunc(ctx, func() { _ = proc.Kill(context.Background()) })
	c.unfollow = stop
	return proc, nil
}

// title is what ps shows of an actor; a foreign program does not bear one.
func (c *child) title() string {
	if c.foreign() {
		return ""
	}
	return c.id.Title()
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

func (c *child) dispense() (*seam, error) {
	if _, err := c.client.Start(); err != nil {
		return nil, err
	}
	protocol, err := c.client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(wire.PluginName)
	if err != nil {
		return nil, err
	}
	return raw.(*seam), nil
}

// explain says what went wrong in a handshake: what the process did tells more
// than what go-plugin missed.
func (c *child) explain(err error) error {
	proc := c.proc.Load()
	if err == nil || proc == nil {
		return err
	}
	if bad := proc.HandshakeError(); bad != nil {
		return bad
	}
	if start, ok := errors.AsType[*process.StartError](err); ok {
		return start
	}
	c.await(proc.Dead(), lastFrames)
	exit, ended := proc.Exit()
	if !ended || exit.Signal == syscall.SIGKILL { // go-plugin killed it, and says why
		text := strings.TrimSpace(err.Error())
		if c.foreign() {
			text = foreignHandshake(c.spec.GoPlugin, text, exit.LastLog)
		}
		if strings.Contains(text, "API version with plugin") { // all that go-plugin tells
			return &lasting{errors.New(text)}
		}
		return errors.New(text)
	}
	question := "is it a plugin that is built with sdk.Serve?"
	if c.foreign() {
		question = "is its cookie (goplugin.cookie) the right one?"
	}
	return fmt.Errorf("the program ended before it shook hands; %s %w", question,
		&process.ExitError{Name: c.spec.Name, PID: proc.PID(), Exit: exit})
}

// explainBroker says why go-plugin's broker has closed, which does not know it itself: its
// stream was not opened or is over, since the connection failed at the first attempt.
func (c *child) explainBroker(ctx context.Context, err error) error {
	if _, cause := c.main.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService}); cause != nil {
		return fmt.Errorf("%w: go-plugin's connection to it failed: %s", err, status.Convert(cause).Message())
	}
	return fmt.Errorf("%w: go-plugin's connection to it had failed at first, and works now", err)
}

// listen serves the child's link on a brokered connection.
func (c *child) listen(stub *seam) (broker uint32, err error) {
	broker = stub.broker.NextId()
	ln, err := stub.broker.Accept(broker)
	if err != nil {
		return 0, err
	}
	entry := &door{Listener: ln}
	links := link.NewServer(func(t link.Transport) <-chan struct{} {
		entry.close()
		table := c.newTable(t)
		c.linked <- table
		return table.Link().Done()
	})
	c.address = ln.Addr()
	c.server = grpc.NewServer(
		grpc.Creds(links.Credentials(c.config.TLSConfig, c.proc.Load().PID())),
		grpc.InitialWindowSize(link.StreamWindow), grpc.InitialConnWindowSize(link.ConnWindow),
		grpc.MaxRecvMsgSize(link.MaxPacket), grpc.ForceServerCodecV2(wire.PacketCodec{}),
		grpc.ConnectionTimeout(handshakeBound),
		grpc.WaitForHandlers(true), // so that after Stop a link that has come is in linked
	)
	wire.RegisterLinkServer(c.server, links)
	c.serving = task.Start(func() { c.serve(entry) })
	return broker, nil
}

func (c *child) serve(entry *door) {
	if err := c.server.Serve(entry); err != nil && !entry.shut.Load() {
		c.env.log.Error("the link's server has failed", "actor", c.id.String(), "error", err)
	}
}

func (c *child) newTable(t link.Transport) *dialog.Table {
	log := c.env.log.With("actor", c.env.self.String())
	return dialog.NewTable(link.New(t, link.Config{Self: c.env.self, Log: log}), dialog.Config{
		Base: c.env.base, Accept: c.env.exposed.Accept, Log: log,
		Receiving: c.env.receive, CancelTimeout: boundsOf(c.spec).cancel, Stuck: c.sticks,
	})
}

// boot tells the child who it is and waits until it is ready.
func (c *child) boot(ctx context.Context, stub *seam, broker uint32) error {
	request := &wire.BootRequest{
		Broker: broker, Parent: wire.FromID(c.env.self), Self: wire.FromID(c.id),
		CancelTimeout: int64(boundsOf(c.spec).cancel),
	}
	receiving(c.spec.Streams).Tell(request)
	if c.identity != nil {
		request.Network, request.Address = c.address.Network(), c.address.String()
	}
	if len(c.spec.Actors) > 0 {
		tree, err := json.Marshal(config.Tree{Name: c.spec.Name, Actors: c.spec.Actors, Supervision: c.spec.Supervision})
		if err != nil {
			return err
		}
		request.Tree = tree
	}
	c.lacking = ": it has not answered its boot request"
	answer, err := stub.actor.Boot(ctx, request)
	if err != nil {
		return c.bootFailure(err)
	}
	c.lacking = ": it has booted, and not opened its link"
	select {
	case c.table = <-c.linked:
	case <-c.proc.Load().Done(): // it may have died before its link was taken in
		return cmp.Or(c.linkFailure(), c.deathOf(c.proc.Load()))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.lacking = ": its link is open, and it has not said HELLO on it"
	select {
	case <-c.table.Link().Greeted():
	case <-c.table.Link().Done():
		return cmp.Or(c.linkFailure(), fmt.Errorf("the link ended before it began: %w", c.table.Link().Err()))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.endpoints, c.tie = answer.Endpoints, linkTie{c.table}
	return c.checkHealthEndpoint()
}

// checkHealthEndpoint refuses a child that could never be healthy.
func (c *child) checkHealthEndpoint() error {
	name := c.spec.Health.Endpoint
	if name == "" || c.spec.Health.Off {
		return nil
	}
	missing := &fault.NotExposed{Actor: c.id, Endpoint: name, Kind: dialog.KindName(dialog.Func)}
	for _, e := range c.endpoints {
		switch {
		case e.Name != name:
			missing.Exposed = append(missing.Exposed, e.Name)
		case e.Kind == dialog.Func:
			return nil
		default:
			missing.Actual = dialog.KindName(e.Kind)
		}
	}
	return &lasting{fmt.Errorf("health.endpoint: %w", missing)}
}

// lastWords is how long a child that failed to boot may take to say why.
const lastWords = time.Second

// bootFailure prefers what the child or its process said itself to the transport's
// view of it. A child that refuses says so in its answer and does nothing more.
func (c *child) bootFailure(err error) error {
	refused := status.Convert(err)
	if refused.Code() == codes.FailedPrecondition {
		return &lasting{errors.New(refused.Message())}
	}
	proc := c.proc.Load()
	select {
	case c.table = <-c.linked:
	case <-proc.Dead():
	case <-time.After(lastWords):
	}
	if failure := c.linkFailure(); failure != nil {
		return failure
	}
	if c.await(proc.Dead(), lastWords) {
		return c.deathOf(proc)
	}
	return errors.New(refused.Message())
}

// linkFailure is what the link tells of a failed boot: why this host itself has refused it, or
// the child's own last words; nil if it tells neither.
func (c *child) linkFailure() error {
	if c.table == nil {
		select {
		case c.table = <-c.linked: // it had come before the child ended
		default:
			return nil
		}
	}
	l := c.table.Link()
	c.await(l.Done(), lastWords)
	if _, reason := l.Farewell(); reason != nil {
		return reason
	}
	if refusal := l.Err(); errors.Is(refusal, fault.ErrProtocol) {
		return &lasting{refusal}
	}
	return nil
}

// seam is the host's hold on go-plugin's main connection to one child.
type seam struct {
	conn   *grpc.ClientConn
	actor  wire.ActorClient
	health healthpb.HealthClient
	broker *plugin.GRPCBroker
}

// seamPlugin makes seams for go-plugin.
type seamPlugin struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer is the plugin's half, which this program is not.
func (seamPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("package host calls plugins; package sdk serves them")
}

// GRPCClient wraps the connection to a plugin.
func (seamPlugin) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &seam{conn: conn, actor: wire.NewActorClient(conn), health: healthpb.NewHealthClient(conn), broker: broker}, nil
}
