package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// The floor: frames of a length and that many bytes on a unix socket, no encryption, no
// multiplexing, a connection for each caller. A connection begins with a frame: empty
// to have every frame sent back, else the size of the frames to be sent without end.

const (
	socketVar    = "TRELLIS_BENCH_SOCKET"
	socketBuffer = 64 << 10
	socketFrame  = 64 << 20
	socketReady  = "listening"
)

// serveSocket is the process at the other end. It ends when its input does.
func serveSocket() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", os.Getenv(socketVar))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, socketReady); err != nil {
		return errors.Join(err, listener.Close())
	}
	acceptor := task.Start(func() { acceptAll(listener) })
	_, err = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(err, listener.Close())
	acceptor.Wait()
	return err
}

// acceptAll leaves its connections to the end of the process.
func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		task.Start(func() { _ = newFramer(conn).serve() }) // ends when the other end closes
	}
}

// framer reads and writes frames on a connection.
type framer struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	last []byte // the frame that was read last
}

func newFramer(conn net.Conn) *framer {
	return &framer{conn: conn, in: bufio.NewReaderSize(conn, socketBuffer), out: bufio.NewWriterSize(conn, socketBuffer)}
}

func (f *framer) serve() error {
	request, err := f.read()
	if err != nil {
		return err
	}
	if len(request) == 8 {
		message := make([]byte, binary.BigEndian.Uint64(request))
		for err == nil {
			err = f.write(message)
		}
		return err
	}
	for {
		m, err := f.read()
		if err == nil {
			err = f.write(m)
		}
		if err == nil && f.in.Buffered() == 0 { // else more goes out with it
			err = f.out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

func (f *framer) write(message []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(message)))
	if _, err := f.out.Write(head[:]); err != nil {
		return err
	}
	_, err := f.out.Write(message)
	return err
}

// read returns the next frame, which is good until the one after.
func (f *framer) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > socketFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if int(n) > cap(f.last) {
		f.last = make([]byte, n)
	}
	f.last = f.last[:n]
	_, err := io.ReadFull(f.in, f.last)
	return f.last, err
}

// socketPeer is the process at the other end of the socket.
type socketPeer struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	dir   string

	mu   sync.Mutex
	idle []*framer
}

func (l *lab) startSocket(context.Context) (peer, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	p := &socketPeer{cmd: l.again(Socket), dir: dir}
	p.cmd.Env = append(p.cmd.Env, socketVar+"="+p.path())
	if err := p.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *socketPeer) path() string { return filepath.Join(p.dir, "s") }

func (p *socketPeer) start() (err error) {
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if strings.TrimSpace(line) != socketReady {
		return errors.Join(fmt.Errorf("the process behind the socket said %q: %w", line, err), p.stop())
	}
	return nil
}

func (p *socketPeer) pid() int { return p.cmd.Process.Pid }

func (p *socketPeer) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.idle {
		_ = f.conn.Close() // the process is about to end
	}
	err := errors.Join(p.input.Close(), p.cmd.Wait())
	return errors.Join(err, os.RemoveAll(p.dir))
}

// dial begins a connection with a request.
func (p *socketPeer) dial(ctx context.Context, request []byte) (*framer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.path())
	if err != nil {
		return nil, err
	}
	f := newFramer(conn)
	if err := f.write(request); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := f.out.Flush(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

// borrow gives a connection that sends everything back.
func (p *socketPeer) borrow(ctx context.Context) (*framer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		f := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return f, nil
	}
	return p.dial(ctx, nil)
}

func (p *socketPeer) giveBack(f *framer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, f)
}

func (p *socketPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	f, err := p.borrow(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.write(payload); err != nil {
		return nil, errors.Join(err, f.conn.Close())
	}
	if err := f.out.Flush(); err != nil {
		return nil, errors.Join(err, f.conn.Close())
	}
	answer, err := f.read()
	if err != nil {
		return nil, errors.Join(err, f.conn.Close())
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
		m, err := f.read()
		if err != nil || len(m) != size {
			return errors.Join(err, f.conn.Close(), fmt.Errorf("a message of %d bytes, expected %d", len(m), size))
		}
		if !each() {
			return f.conn.Close()
		}
	}
}

func (p *socketPeer) echo(ctx context.Context, payload []byte, each func() bool) error {
	f, err := p.dial(ctx, nil)
	if err != nil {
		return err
	}
	sender := task.Start(func() {
		for f.write(payload) == nil { // until the connection is closed
		}
	})
	for {
		m, err := f.read()
		if err == nil && len(m) != len(payload) {
			err = fmt.Errorf("a message of %d bytes, expected %d", len(m), len(payload))
		}
		if err != nil || !each() {
			err = errors.Join(err, f.conn.Close())
			sender.Wait()
			return err
		}
	}
}
