package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// handshake starts the process and lets go-plugin shake hands with it. go-plugin knows no
// ctx: its Client.Start returns when a line has come, when its own timeout has passed or
// when the process has ended. So whoever wants to end its waiting kills the process. It is
// given the bound of the whole start as its own, but the ctx of the start is what counts.
//
// s.config is kept, since go-plugin goes on using that very value: it reads fields of it
// after RunnerFunc was called, and writes TLSConfig if it makes its own certificates
// (AutoMTLS).
func (s *spawned) handshake(ctx context.Context) (err error) {
	dir, err := rundir.Open()
	if err != nil {
		return err
	}
	noteCgroups(s.env.log)
	s.config = s.clientConfig(ctx, dir)
	if s.identity, err = s.authenticate(s.config); err != nil {
		return err
	}
	s.plugin = plugin.NewClient(s.config)
	shaking := task.Start(func() { err = s.dispense() })
	shaking.Wait()
	if s.identity != nil {
		_ = s.identity.Close() // the child has its own
	}
	return s.explain(err)
}

// clientConfig tells go-plugin how to start an actor, or a foreign program, and what to
// expect of it. Three of its settings are there to undo defaults: without SkipHostEnv
// go-plugin would put the whole environment of the host into the command, without
// UnixSocketConfig its sockets would lie in the common temporary directory, where nothing
// removes those of a host that was killed, and without a Logger it would print to this
// program's standard error. AutoMTLS is what remains if authenticate has nothing better.
func (s *spawned) clientConfig(ctx context.Context, dir string) *plugin.ClientConfig {
	config := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: clientMaker{client: s.client}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, scratch string) (runner.Runner, error) {
			return s.runner(ctx, cmd, scratch)
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     time.Duration(s.spec.WithDefaults().StartTimeout),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions:  s.dialOptions(),
		Logger:           bridge(s.env.log.With("actor", s.id.String())),
	}
	if s.foreign() {
		s.foreignConfig(config)
	}
	return config
}

// dialOptions are those of the main connection: the child's own, and what the application
// has for it, which is nearer to the wire. So an interceptor of the application's sees
// gRPC's errors as they are, and a limit of its own replaces that of this package.
func (s *spawned) dialOptions() []grpc.DialOption {
	own := s.client.dialOptions()
	if s.env.dial == nil {
		return own
	}
	return append(own, s.env.dial(s.spec.Name)...)
}

// runner makes the process that go-plugin will start. go-plugin calls it inside
// Client.Start, once; of the command that it hands over only the environment means
// anything, which holds go-plugin's own PLUGIN_ variables and the cookie. scratch is the
// directory for the child's sockets, which go-plugin has just made.
//
// What is merged last into the environment wins, so that a spec cannot replace what says
// where the identity is.
func (s *spawned) runner(ctx context.Context, cmd *exec.Cmd, scratch string) (runner.Runner, error) {
	s.scratch = scratch
	own, err := environ.Join(s.spec.Env)
	if err != nil {
		return nil, err
	}
	files, more := s.inherit()
	env := environ.Merge(environ.Base(), own, more)
	proc := process.New(process.Spec{
		Path: s.path, Args: s.spec.Command[1:], Files: files, Name: s.spec.Command[0], Title: s.title(), Dir: s.spec.Dir, Env: env,
		SHA256: s.spec.SHA256, Cgroup: true, Limits: limits(s.spec.Limits), Gist: gist, Log: s.line,
	}, cmd)
	s.proc.Store(proc)
	if s.foreign() {
		// go-plugin's server in the program replaces its standard files by pipes of its own,
		// and sends what is printed over the main connection. go-plugin reads these two
		// fields only when it connects, later than this.
		s.config.SyncStdout, s.config.SyncStderr = proc.Aside(process.Stdout), proc.Aside(process.Stderr)
	}
	// Asked only now: either this finds that ctx has ended, or whoever kills the process at the
	// end of ctx finds the process.
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return proc.Runner(), nil
}

// title is what ps shows of an actor; a foreign program does not bear one.
func (s *spawned) title() string {
	if s.foreign() {
		return ""
	}
	return s.id.Title()
}

// limits are a Spec's, for the process.
func limits(l config.Limits) process.Limits {
	return process.Limits{
		OpenFiles: l.OpenFiles, Core: (*int64)(l.Core), CPU: time.Duration(l.CPU),
		FileSize: int64(l.FileSize), Memory: int64(l.Memory), Processes: l.Processes,
	}
}

// dispense has go-plugin start the process, shake hands and connect to it. Client starts
// go-plugin's broker and stdio streams on the connection; Dispense calls
// clientMaker.GRPCClient, which fills in s.client. It waits for as long as go-plugin does.
func (s *spawned) dispense() error {
	if _, err := s.plugin.Start(); err != nil {
		return err
	}
	protocol, err := s.plugin.Client()
	if err != nil {
		return err
	}
	_, err = protocol.Dispense(wire.PluginName) // it fills in s.client
	s.client.version = s.plugin.NegotiatedVersion()
	return err
}

// checkCertificate refuses a foreign program that knows no AutoMTLS and should. go-plugin makes
// a TLS configuration for that in any case, and adds the certificate of the program as its root
// if there was one in the handshake line: without roots, there was none. That is said here, as
// gRPC would only say that it cannot connect.
func (s *spawned) checkCertificate() error {
	if tls := s.config.TLSConfig; s.foreign() && secured(s.spec.GoPlugin) && (tls == nil || tls.RootCAs == nil) {
		return errors.New("expected a certificate in its handshake line, there is none: " +
			"this program knows no AutoMTLS; set goplugin.mtls to off")
	}
	return nil
}

// explain says what went wrong in a handshake: what the process did tells more than what
// go-plugin missed. It prefers, in this order: why the first line of output was not a
// handshake, why the program could not be executed, that the program ended by itself and
// how, and only then go-plugin's own text.
//
// SIGKILL does not count as an end by itself: go-plugin kills the process whenever its
// start fails, and so does the end of the start's ctx. go-plugin returns texts and has no
// error values for most failures, so that a wrong protocol version can only be recognised
// by its text; it is lasting, since another start of the same program would say the same.
func (s *spawned) explain(err error) error {
	proc := s.proc.Load()
	if err == nil || proc == nil {
		return err
	}
	if bad := proc.HandshakeError(); bad != nil {
		return bad
	}
	if start, ok := errors.AsType[*process.StartError](err); ok {
		return start
	}
	closedWithin(proc.Dead(), drainBound)
	exit, ended := proc.Exit()
	if !ended || exit.Signal == syscall.SIGKILL { // go-plugin killed it, and says why
		text := strings.TrimSpace(err.Error())
		if s.foreign() {
			text = foreignHandshake(s.spec.GoPlugin, text, exit.LastLog)
		}
		if strings.Contains(text, "API version with plugin") { // all that go-plugin tells
			return &lastingError{errors.New(text)}
		}
		return errors.New(text)
	}
	question := "is it a plugin that is built with sdk.Serve?"
	if s.foreign() {
		question = "is its cookie (goplugin.cookie) the right one?"
	}
	return fmt.Errorf("the program ended before it shook hands; %s %w", question,
		&process.ExitError{Name: s.spec.Name, PID: proc.PID(), Exit: exit})
}

// identityFD is the descriptor at which a child finds its identity: the first of
// process.Spec.Files. 0 to 2 are the standard files, and 3 is the lifeline of package
// process.
const identityFD = 4

// passesFiles reports whether children can inherit descriptors. Where they cannot,
// connections are authenticated by go-plugin's AutoMTLS.
const passesFiles = runtime.GOOS != "windows"

// authenticate makes the child and this host accept each other, and no one else. The file
// is the read end of a pipe that holds the child's key and certificate: unlike a variable
// or a file on disk, they are gone once the child has read them. It is closed once the
// child, which inherits it, has been started. It is nil if go-plugin's AutoMTLS is used.
//
// The certificate is for this one process: the next incarnation of the actor has another
// UUID, and so another certificate.
func (s *spawned) authenticate(config *plugin.ClientConfig) (identity *os.File, err error) {
	if s.foreign() || !passesFiles {
		return nil, nil
	}
	authority, err := s.env.authority()
	if err != nil {
		return nil, fmt.Errorf("make the tree's certificate authority: %w", err)
	}
	text, err := authority.Admit(s.id.UUID)
	if err != nil {
		return nil, fmt.Errorf("make the actor's certificate: %w", err)
	}
	config.AutoMTLS, config.TLSConfig = false, authority.Host(s.id.UUID)
	if identity, err = trust.Pipe(text); err != nil {
		return nil, fmt.Errorf("hand over the actor's certificate: %w", err)
	}
	return identity, nil
}

// inherit is what the child gets besides the standard descriptors, and the variable that
// tells it so. The lifeline is not among it: package process adds that to every child.
func (s *spawned) inherit() (files []*os.File, env []string) {
	if s.identity == nil {
		return nil, nil
	}
	return []*os.File{s.identity}, []string{fmt.Sprintf("%s=%d", trust.Variable, identityFD)}
}

// foreignConfig makes go-plugin speak to the program as its own host would. A cookie has
// one entry, as the rules of config demand. HandshakeConfig.ProtocolVersion stays 0, since
// VersionedPlugins has all versions that are offered; each has the same plugin set,
// because the clients of a foreign program are not made by go-plugin but by whoever calls
// it.
func (s *spawned) foreignConfig(config *plugin.ClientConfig) {
	g := s.spec.GoPlugin
	config.HandshakeConfig = plugin.HandshakeConfig{}
	for key, value := range g.Cookie {
		config.MagicCookieKey, config.MagicCookieValue = key, value
	}
	config.VersionedPlugins = map[int]plugin.PluginSet{}
	for _, version := range g.Versions {
		config.VersionedPlugins[version] = plugin.PluginSet{wire.PluginName: clientMaker{client: s.client}}
	}
	config.TLSConfig, config.AutoMTLS = nil, secured(g)
	config.GRPCBrokerMultiplex = g.Multiplex
}

// foreignHandshake says which key of a program's description a failed handshake is about,
// and what the program itself has said last. go-plugin has only texts for its errors, so
// that a new version of it may make this less helpful, but never wrong.
func foreignHandshake(g *config.GoPlugin, failure string, said []string) string {
	switch {
	case strings.Contains(failure, "incompatible API version"):
		failure += fmt.Sprintf(" (the program speaks none of goplugin.versions, %v, and names its lowest one)", g.Versions)
	case strings.Contains(failure, plugin.ErrGRPCBrokerMuxNotSupported.Error()):
		failure += "; set goplugin.multiplex to false"
	}
	if n := len(said); n > 0 {
		failure += "; its last line on stderr: " + said[n-1]
	}
	return failure
}

// secured reports whether the connection to a foreign program has go-plugin's AutoMTLS. It
// has, unless its description says otherwise.
func secured(g *config.GoPlugin) bool { return g.MTLS != config.MTLSOff }
