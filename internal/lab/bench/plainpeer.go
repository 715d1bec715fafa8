package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/goplugin"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// plainPeer is a started gRPC program: a go-plugin plugin, or a server without go-plugin.
type plainPeer struct {
	process
	rpc  plain.PlainClient
	last atomic.Uint64 // id of a held stream
}

func (l *lab) startPlain(subject string) (peer, error) {
	p, process, err := l.startGoPlugin(subject, goplugin.GRPC, plugin.ProtocolGRPC)
	if err != nil {
		return nil, err
	}
	client, ok := p.(plain.PlainClient)
	if !ok {
		return nil, fmt.Errorf("go-plugin gave a %T for the gRPC plugin", p)
	}
	return &plainPeer{process: process, rpc: client}, nil
}

// startBare starts the server that has no go-plugin and no TLS.
func (l *lab) startBare(subject string) (peer, error) {
	p, err := socket.Start(l.command(subject))
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("unix:"+p.Path(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return &plainPeer{process: bareProcess{p, conn}, rpc: plain.NewPlainClient(conn)}, nil
}

// bareProcess is a gRPC server behind a socket.
type bareProcess struct {
	*socket.Process
	conn *grpc.ClientConn
}

func (p bareProcess) pids() []int { return []int{p.PID()} }

func (p bareProcess) stop() error { return errors.Join(p.conn.Close(), p.Stop()) }

func (p *plainPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	answer, err := p.rpc.Call(ctx, &plain.Payload{Data: payload})
	return answer.GetData(), err
}

// open is a stream that carries one message each way: what a context is for.
func (p *plainPeer) open(ctx context.Context) error {
	s, err := p.rpc.Open(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&plain.Payload{}); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end of the stream: %w", err)
	}
	return nil
}

func (p *plainPeer) pour(ctx context.Context, size int, each func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := p.rpc.Pour(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&plain.Flow{Size: int64(size)}); err != nil {
		return err
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if err := wrongSize(len(m.Data), size); err != nil {
			return err
		}
		if !each() {
			return nil
		}
	}
}

func (p *plainPeer) echo(ctx context.Context, payload []byte, each func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	s, err := p.rpc.Echo(ctx)
	if err != nil {
		cancel()
		return err
	}
	sender := task.Start(func() {
		for s.Send(&plain.Payload{Data: payload}) == nil { // Recv says why it failed
		}
	})
	defer sender.Wait()
	defer cancel()
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if err := wrongSize(len(m.Data), len(payload)); err != nil {
			return err
		}
		if !each() {
			return nil
		}
	}
}

func (p *plainPeer) cancelled(ctx context.Context) (float64, error) {
	id := p.last.Add(1)
	scope, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.held(scope, id); err != nil {
		return 0, err
	}
	begun := time.Now()
	cancel()
	at, err := p.rpc.Ended(ctx, &plain.Mark{Id: id})
	return usage.Since(begun, at.GetUnixNanoseconds()), err
}

// held opens a stream that stays until ctx ends.
func (p *plainPeer) held(ctx context.Context, id uint64) error {
	s, err := p.rpc.Hold(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&plain.Mark{Id: id}); err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

func (p *plainPeer) use(ctx context.Context) (usage.Consumption, error) {
	u, err := p.rpc.Usage(ctx, &plain.Nothing{})
	return usage.Consumption{Memory: u.GetMemory(), Allocations: u.GetAllocations()}, err
}

func (p *plainPeer) hold(ctx context.Context) holding {
	h := &plainHolding{peer: p}
	h.ctx, h.cancel = context.WithCancel(ctx)
	return h
}

// plainHolding is a number of idle streams, with no goroutine but gRPC's own.
type plainHolding struct {
	peer   *plainPeer
	ctx    context.Context
	cancel context.CancelFunc
}

func (h *plainHolding) grow(n int) error {
	errs := make([]error, n)
	each(n, func(i int) { errs[i] = h.peer.held(h.ctx, 0) })
	return errors.Join(errs...)
}

func (h *plainHolding) release() error {
	h.cancel()
	return nil
}
