package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// What is measured of actors on other machines. All of it is on this one, and goes over TCP and TLS.
const (
	TLS    = "grpctls" // a server of gRPC over TCP with mutual TLS, without go-plugin
	remote = "remote"  // a plugin of package sdk that an agent runs
	agent  = "agent"   // the program that does so

	near       = "near" // the host that measures
	far        = "far"  // the host of the other programs
	folderVar  = "TRELLIS_BENCH_CREDENTIALS"
	addressVar = "TRELLIS_BENCH_ADDRESS"
)

// serveAgent is the main of the agent.
func serveAgent() error {
	c, err := fleet.LoadCredentials(os.Getenv(folderVar))
	if err != nil {
		return err
	}
	return untilInputEnds(func(ctx context.Context) error {
		o := host.AgentOptions{Name: far, Join: []string{"tls://" + os.Getenv(addressVar)}, Credentials: c, Log: slog.New(slog.DiscardHandler)}
		return host.Agent(ctx, o)
	})
}

// serveTLS is the main of the server.
func serveTLS() error {
	c, err := fleet.LoadCredentials(os.Getenv(folderVar))
	if err != nil {
		return err
	}
	config, err := c.TLS("")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	plain.RegisterPlainServer(server, &plain.Server{})
	return untilInputEnds(func(ctx context.Context) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", os.Getenv(addressVar))
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, server.Stop)()
		return server.Serve(l)
	})
}

// untilInputEnds is the main of a program that ends with whoever has started it.
func untilInputEnds(run func(ctx context.Context) error) error {
	ctx, end := context.WithCancel(context.Background())
	task.Start(func() { // ends with the program at the latest
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends
		end()
	})
	return run(ctx)
}

// machine is a program on another machine, with the certificates of a fleet of its own.
type machine struct {
	cmd     *exec.Cmd
	input   io.Closer
	folder  string
	address string
	near    *fleet.Credentials
}

// startMachine starts the program of a subject, which is told its certificate and an address that nobody has.
func (l *lab) startMachine(ctx context.Context, subject string) (m *machine, err error) {
	m = &machine{cmd: l.command(subject)}
	if m.folder, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(m.folder))
		}
	}()
	if m.near, err = credentialsIn(m.folder); err != nil {
		return nil, err
	}
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.address = free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	m.cmd.Env = append(m.cmd.Env, folderVar+"="+filepath.Join(m.folder, far), addressVar+"="+m.address)
	if m.input, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return m, m.cmd.Start()
}

func credentialsIn(folder string) (*fleet.Credentials, error) {
	ca, err := fleet.NewCA(filepath.Join(folder, "ca"))
	for _, name := range []string{near, far} {
		if err == nil {
			err = ca.Issue(name, filepath.Join(folder, name), fleet.DefaultLifetime)
		}
	}
	if err != nil {
		return nil, err
	}
	return fleet.LoadCredentials(filepath.Join(folder, near))
}

func (m *machine) pids() []int { return []int{m.cmd.Process.Pid} }

func (m *machine) stop() error {
	return errors.Join(m.input.Close(), m.cmd.Wait(), os.RemoveAll(m.folder))
}

// tlsProcess is the server, and the connection to it.
type tlsProcess struct {
	*machine
	conn *grpc.ClientConn
}

func (p tlsProcess) stop() error { return errors.Join(p.conn.Close(), p.machine.stop()) }

func (l *lab) startTLS(ctx context.Context) (process, error) {
	m, err := l.startMachine(ctx, TLS)
	if err != nil {
		return nil, err
	}
	config, err := m.near.TLS(far)
	if err != nil {
		return nil, errors.Join(err, m.stop())
	}
	conn, err := grpc.NewClient(m.address, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return &plainPeer{process: tlsProcess{m, conn}, rpc: plain.NewPlainClient(conn)}, nil
}

// remotePeer is a plugin that the agent runs.
type remotePeer struct {
	*nurseryPeer
	agent *machine
}

func (l *lab) startRemote(ctx context.Context) (process, error) {
	m, err := l.startMachine(ctx, agent)
	if err != nil {
		return nil, err
	}
	spec := l.spec(Trellis)
	spec.On = &config.On{Host: far}
	o := host.Options{Name: near, Log: slog.New(slog.DiscardHandler), Fleet: &host.Fleet{Credentials: m.near, Listen: m.address}}
	p, err := startInNursery(ctx, o, spec)
	if err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return &remotePeer{p, m}, nil
}

func (p *remotePeer) stop() error { return errors.Join(p.nurseryPeer.stop(), p.agent.stop()) }

func (p *remotePeer) pids() []int { return append(p.nurseryPeer.pids(), p.agent.pids()...) }

// machinesWorkloads are calls and streams with another machine, against gRPC over TLS, and a call against one to a child.
func machinesWorkloads(s sizes) (all []*workload) {
	const size = 64
	for _, callers := range []int{1, 64} {
		call := callMetric("call "+sizeName(size)+", "+plural(callers, "caller")+", to another machine", callers, size)
		all = append(all, beside(TLS, "machines", remote, call, func(ctx context.Context, p process) (sample, error) {
			found, err := calls(ctx, p, callers, size, s.length)
			return timesOf(found, callers), err
		}))
	}
	local := callMetric("call "+sizeName(size)+" to another machine, beside one to a child", 1, size)
	all = append(all, besideChild("machines", remote, local, func(ctx context.Context, p process) (sample, error) {
		found, err := calls(ctx, p, 1, size, s.length)
		return timesOf(found, 1), err
	}))
	for _, size := range []int{64, 64 << 10} {
		stream := streamMetric("stream "+sizeName(size)+" from another machine", size)
		all = append(all, beside(TLS, "machines", remote, stream, func(ctx context.Context, p process) (sample, error) {
			rate, err := flow(ctx, p, oneWay, size, s.length)
			return stream.rated(rate), err
		}))
	}
	return all
}
