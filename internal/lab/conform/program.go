package conform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// LimitsVariable holds the limits of a transcript, as JSON, in a program's environment.
const LimitsVariable = "CONFORM_LIMITS"

// Program says how to start the implementation under test, which is a plugin.
type Program struct {
	Command []string
	Env     []string // as KEY=value, beside what a host gives a plugin
	Name    string   // of the actor; "plugin" if it is empty
	GRPC    bool     // the link goes over gRPC: the plugin is told no address for a direct connection
	// Patience is how long a frame, a start and an end may take; 0 is a minute.
	Patience time.Duration
}

// forever is how much is waited for of a silence that stands for one without end.
const forever = 250 * time.Millisecond

// Unplayed is why a transcript says nothing about a program.
type Unplayed struct{ Reason string }

func (u *Unplayed) Error() string { return u.Reason }

// Play plays a transcript with a process of its own. What differs from it is a
// *[Difference]; a program that does not tell the transcript's limits is *[Unplayed]. Any
// other error is of its start or its end.
func (p Program) Play(ctx context.Context, s *Script) error {
	return p.link(ctx, s, s.endsActor(), func(r *run, t link.Transport, booted func()) error {
		err := s.Play(r.tell(t), Pace{Forever: forever, Patience: r.program.Patience, Greeted: booted})
		if r.unplayed != nil {
			return r.unplayed
		}
		return err
	})
}

// Link starts a process, and lets play be its host on the link. It calls booted when it has
// said HELLO, to wait for the process, and asks that to end, or gives [ErrDied]. An error is play's,
// or is of the start or the end.
func (p Program) Link(ctx context.Context, play func(t link.Transport, booted func()) error) error {
	return p.link(ctx, new(Script), true, func(r *run, t link.Transport, booted func()) error { return play(r.tell(t), booted) })
}

// ErrDied is what play gives to [Program.Link] if it was right that the process has died.
var ErrDied = errors.New("the process has died, as it should")

// link is a process and its link, which play plays the host's end of. asked says that play asks the
// process to end.
func (p Program) link(ctx context.Context, s *Script, asked bool, play func(r *run, t link.Transport, booted func()) error) (err error) {
	p.Patience = cmp.Or(p.Patience, time.Minute)
	r := &run{program: p, script: s, asked: asked, id: uuid.NewString(), links: make(chan link.Transport, 1), linked: make(chan struct{})}
	defer func() { err = errors.Join(err, r.release()) }()
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("start: %w%s", err, r.said())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.Patience, fmt.Errorf("it was not ready within %v", p.Patience))
	defer cancel()
	booted := r.boot(ctx)
	defer booted.Wait()
	defer cancel()
	var transport link.Transport
	select {
	case transport = <-r.links:
	case <-r.process.Dead():
		return fmt.Errorf("boot: the program ended before it opened the link%s", r.said())
	case <-ctx.Done():
		return fmt.Errorf("boot: %w", context.Cause(ctx))
	}
	err = play(r, transport, booted.Wait)
	switch {
	case r.unplayed != nil:
		return r.unplayed
	case errors.Is(err, ErrDied):
		return errors.Join(r.bootFailure, r.awaitDeath())
	case err != nil:
		return errors.Join(err, r.bootFailure, r.raced())
	}
	return r.awaitExit()
}

// run is one process that plays one transcript. The goroutine of Program.Play owns it, and
// all that it holds ends in release.
type run struct {
	program Program
	script  *Script
	asked   bool   // to end, by what is played
	id      string // the uuid that the plugin is given

	dir      string // of its sockets
	process  *process.Process
	unfollow func() bool // the process is not killed any more when ctx ends
	client   *plugin.Client
	identity *os.File
	main     grpc.ClientConnInterface
	broker   *plugin.GRPCBroker

	server  *grpc.Server
	serving *task.Worker
	address net.Addr
	number  uint32              // of the link at the broker
	links   chan link.Transport // cap 1: the plugin has opened its link
	linked  chan struct{}       // closed when the link is not needed any more

	bootFailure error
	unplayed    error
}

// start brings the process up, as far as go-plugin's handshake, and listens for its link.
func (r *run) start(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "conform-"); err != nil {
		return err
	}
	authority, err := trust.NewAuthority(Identity)
	if err != nil {
		return err
	}
	text, err := authority.Admit(r.id)
	if err != nil {
		return err
	}
	tls := authority.Host(r.id)
	if r.identity, err = trust.Pipe(text); err != nil {
		return err
	}
	r.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: dispenser{run: r}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			return r.runner(ctx, cmd)
		},
		SkipHostEnv:      true,
		StartTimeout:     r.program.Patience,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: r.dir},
		TLSConfig:        tls,
		Logger:           hclog.NewNullLogger(),
	})
	if err := r.shakeHands(); err != nil {
		return err
	}
	r.number = r.broker.NextId()
	listener, err := r.broker.Accept(r.number)
	if err != nil {
		return err
	}
	r.address = listener.Addr()
	links := link.NewServer(func(t link.Transport) <-chan struct{} {
		r.links <- t
		return r.linked
	})
	r.server = grpc.NewServer(
		grpc.Creds(links.Credentials(tls, r.process.PID())),
		grpc.InitialWindowSize(link.StreamWindow), grpc.InitialConnWindowSize(link.ConnWindow),
		grpc.MaxRecvMsgSize(link.MaxPacket), grpc.ForceServerCodecV2(wire.PacketCodec{}),
	)
	wire.RegisterLinkServer(r.server, links)
	r.serving = task.Start(func() { _ = r.server.Serve(listener) }) // until release stops it
	return nil
}

// shakeHands lets go-plugin start the process and connect to it.
func (r *run) shakeHands() error {
	if _, err := r.client.Start(); err != nil {
		return r.explain(err)
	}
	protocol, err := r.client.Client()
	if err != nil {
		return err
	}
	_, err = protocol.Dispense(wire.PluginName) // it fills in main and broker
	return err
}

// explain prefers what was wrong with the first line of output to what go-plugin makes of it.
func (r *run) explain(err error) error {
	if r.process != nil && r.process.HandshakeError() != nil {
		return r.process.HandshakeError()
	}
	return errors.New(strings.TrimSpace(err.Error()))
}

// identityFD is the descriptor at which the plugin finds its identity; 3 is the lifeline.
const identityFD = 4

// runner makes the process, which the end of ctx kills: go-plugin knows no ctx.
func (r *run) runner(ctx context.Context, cmd *exec.Cmd) (runner.Runner, error) {
	path, err := exec.LookPath(r.program.Command[0])
	if err != nil {
		return nil, err
	}
	env := environ.Merge(environ.Base(), r.program.Env, []string{fmt.Sprintf("%s=%d", trust.Variable, identityFD)})
	if r.script.Limits != "" {
		env = environ.Merge(env, []string{LimitsVariable + "=" + r.script.Limits})
	}
	r.process = process.New(process.Spec{
		Path: path, Args: r.program.Command[1:], Name: r.program.Command[0], Files: []*os.File{r.identity}, Env: env,
	}, cmd)
	r.unfollow = context.AfterFunc(ctx, func() { _ = r.process.Kill(context.WithoutCancel(ctx)) })
	return r.process.Runner(), nil
}

// dispenser is the one plugin that go-plugin is told of: go-plugin gives its connection and
// its broker to nobody else.
type dispenser struct {
	plugin.NetRPCUnsupportedPlugin
	run *run
}

// GRPCServer is the plugin's half, which this program is not.
func (dispenser) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this program plays the host")
}

// GRPCClient takes in the connection to the plugin.
func (d dispenser) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	d.run.main, d.run.broker = conn, broker
	return d.run, nil
}

// boot tells the plugin who it is. It is answered when the plugin is ready, for which it may
// want to hear the script's HELLO first; so the script goes on meanwhile, up to its first
// frame.
func (r *run) boot(ctx context.Context) *task.Worker {
	request := &wire.BootRequest{
		Broker: r.number,
		Parent: &wire.Identity{Name: "script", Uuid: Identity, Pid: int64(os.Getpid())},
		Self:   &wire.Identity{Name: cmp.Or(r.program.Name, "plugin"), Uuid: r.id, Pid: int64(r.process.PID())},
		Path:   Path,
	}
	if !r.script.Bounds { // which a slow machine must not run into
		request.CancelTimeout, request.ReadyTimeout = int64(time.Hour), int64(time.Hour)
	}
	if !r.program.GRPC && !r.script.Packets {
		request.Network, request.Address = r.address.Network(), r.address.String()
	}
	return task.Start(func() {
		if _, err := wire.NewActorClient(r.main).Boot(ctx, request); err != nil {
			r.bootFailure = fmt.Errorf("its answer to Boot: %w", err)
		}
	})
}

// awaitExit waits for the end of the process, whose link has ended. It ends well exactly if
// it was asked to.
func (r *run) awaitExit() error {
	if err := r.awaitDeath(); err != nil {
		return err
	}
	exit, _ := r.process.Exit()
	switch asked := r.asked; {
	case asked && !exit.Success():
		return fmt.Errorf("it was asked to end, and ended with %s, expected exit code 0%s", exit, r.said())
	case !asked && exit.Success():
		return errors.New("its link ended, which it had not been asked for, and it ended with exit code 0, expected another one")
	}
	return nil
}

// awaitDeath waits for the end of the process, whose link has ended, however that is.
func (r *run) awaitDeath() error {
	select {
	case <-r.process.Dead():
		return r.raced()
	case <-time.After(r.program.Patience):
		return fmt.Errorf("the link has ended, and the process runs on after %v", r.program.Patience)
	}
}

// raceCode is what a Go program exits with whose race detector has found something.
const raceCode = 66

func (r *run) raced() error {
	exit, ended := r.process.Exit()
	if !ended || exit.Code != raceCode {
		return nil
	}
	return fmt.Errorf("it ended with exit code %d: its race detector has found a data race%s", raceCode, r.said())
}

// said is what the process has said last, as the end of an error.
func (r *run) said() string {
	if r.process == nil {
		return ""
	}
	exit, _ := r.process.Exit()
	if len(exit.LastLog) == 0 {
		return ""
	}
	return "; it has said last:\n    " + strings.Join(exit.LastLog, "\n    ")
}

// release ends what is left, and waits for it.
func (r *run) release() error {
	if r.process != nil {
		r.unfollow()
		_ = r.process.Kill(context.Background()) // it is over in most cases
	}
	if r.server != nil {
		close(r.linked)
		r.server.Stop()
		r.serving.Wait()
	}
	if r.client != nil {
		r.client.Kill() // lets go of what go-plugin holds
	}
	if r.identity != nil {
		_ = r.identity.Close() // the plugin has its own
	}
	if r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
}

// tell watches the plugin's HELLO for the limits of the transcript.
func (r *run) tell(t link.Transport) link.Transport {
	_, overGRPC := t.(grpc.ServerStream)
	return &watched{Transport: t, run: r, overGRPC: overGRPC}
}

// watched is the script's end of the link to a process.
type watched struct {
	link.Transport
	run      *run
	overGRPC bool
	heard    bool // the HELLO is in
	bye      bool // the script has said it; Send and CloseSend are called by one goroutine
}

// Recv ends the link if the plugin tells other limits than the transcript is about.
func (w *watched) Recv() (*wire.Packet, error) {
	packet, err := w.Transport.Recv()
	if err != nil || w.heard || len(packet.Frames) == 0 || w.run.script.Limits == "" {
		return packet, err
	}
	w.heard = true
	var limits struct{ MaxMessage, MaxDialogs, MaxArguments uint64 }
	if err := json.Unmarshal([]byte(w.run.script.Limits), &limits); err != nil {
		return nil, err
	}
	hello := packet.Frames[0].GetHello()
	for _, pair := range [][2]uint64{
		{limits.MaxMessage, hello.GetMaxMessage()}, {limits.MaxDialogs, uint64(hello.GetMaxDialogs())}, {limits.MaxArguments, hello.GetMaxArguments()},
	} {
		if pair[0] != 0 && pair[0] != pair[1] {
			w.run.unplayed = &Unplayed{fmt.Sprintf("its HELLO does not tell the limits %s of the variable %s", w.run.script.Limits, LimitsVariable)}
			return nil, w.run.unplayed
		}
	}
	return packet, nil
}

func (w *watched) Send(b wire.Batch) error {
	w.bye = w.bye || slices.ContainsFunc(b, isBye)
	return w.Transport.Send(b)
}

// CloseSend ends the script's direction. That of gRPC's server ends only with the whole
// stream, which is the script's to end where it has not said BYE.
func (w *watched) CloseSend() error {
	if w.overGRPC && !w.bye {
		w.Abort()
		return nil
	}
	return w.Transport.CloseSend()
}

func isBye(b []byte) bool {
	packet, err := wire.NewPacket(wire.Batch{b})
	return err == nil && slices.ContainsFunc(packet.Frames, func(f *wire.Frame) bool { return f.Kind == wire.Kind_KIND_BYE && f.Dialog == 0 })
}
