package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// socketPeer is the process at the other end of a raw socket.
type socketPeer struct {
	*socket.Process
	mu   sync.Mutex
	idle []*socket.Framer
}

func (l *lab) startSocket() (peer, error) {
	process, err := socket.Start(l.command(Socket))
	if err != nil {
		return nil, err
	}
	return &socketPeer{Process: process}, nil
}

func (p *socketPeer) pids() []int { return []int{p.PID()} }

func (p *socketPeer) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.idle {
		_ = f.Close() // the process is about to end
	}
	return p.Stop()
}

// dial begins a connection with a request.
func (p *socketPeer) dial(ctx context.Context, request []byte) (*socket.Framer, error) {
	conn, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	f := socket.NewFramer(conn)
	if err := f.Send(request); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

// borrow gives a connection that sends everything back.
func (p *socketPeer) borrow(ctx context.Context) (*socket.Framer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		f := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return f, nil
	}
	return p.dial(ctx, nil)
}

func (p *socketPeer) giveBack(f *socket.Framer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, f)
}

func (p *socketPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	f, err := p.borrow(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.Send(payload); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	answer, err := f.Next()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.giveBack(f)
	return answer, nil
}

func (p *socketPeer) pour(ctx context.Context, size int, each func() bool) error {
	f, err := p.dial(ctx, binary.BigEndian.AppendUint64(nil, uint64(size)))
	if err != nil {
		return err
	}
	for {
		m, err := f.Next()
		if err == nil {
			err = wrongSize(len(m), size)
		}
		if err != nil || !each() {
			return errors.Join(err, f.Close())
		}
	}
}

func (p *socketPeer) echo(ctx context.Context, payload []byte, each func() bool) error {
	f, err := p.dial(ctx, nil)
	if err != nil {
		return err
	}
	sender := task.Start(func() {
		for f.Put(payload) == nil { // until the connection is closed
		}
	})
	for {
		m, err := f.Next()
		if err == nil {
			err = wrongSize(len(m), len(payload))
		}
		if err != nil || !each() {
			err = errors.Join(err, f.Close())
			sender.Wait()
			return err
		}
	}
}

// wrongSize is nil if what came back has the right size.
func wrongSize(got, want int) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%d bytes came back, expected %d", got, want)
}
