package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The errors, for errors.Is.
var (
	// ErrServed means that another host serves at the address.
	ErrServed = errors.New("another host serves at this address")
	// ErrNoHost means that no host serves at the address.
	ErrNoHost = errors.New("no host serves at this address")
)

const (
	// patience is how long either end may take for its greeting, and a host to begin or to end.
	patience = 5 * time.Second
	// turnPause is how often a program looks that waits for the latter.
	turnPause = 5 * time.Millisecond
)

// Listener is the socket of a host. The host owns it; its methods may be called from any goroutine,
// and Close ends an Accept.
type Listener struct {
	path    string
	socket  *net.UnixListener
	release func(made bool)
	once    sync.Once
}

// Listen makes the socket of an address. What a host has left there that was killed is removed;
// anything else that is there is an error, as is a folder into which others can get.
func Listen(address string) (*Listener, error) {
	path, err := rundir.Socket(address)
	if err != nil {
		return nil, err
	}
	release, err := rundir.Occupy(path)
	switch {
	case errors.Is(err, rundir.ErrOccupied):
		return nil, fmt.Errorf("%w: %s; join it, or choose another one", ErrServed, path)
	case err != nil:
		return nil, fmt.Errorf("serve at %s: %w", path, err)
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		release(false)
		return nil, err
	}
	socket.SetUnlinkOnClose(false) // by its name it might remove another one's
	return &Listener{path: path, socket: socket, release: release}, nil
}

// Path is where the socket is.
func (l *Listener) Path() string { return l.path }

// Accept waits for the next program. The error of one that is not let in is a [*Stranger];
// any other one is the listener's own, such as net.ErrClosed.
func (l *Listener) Accept() (*Caller, error) {
	conn, err := l.socket.AcceptUnix()
	if err != nil {
		return nil, err
	}
	pid, err := checkPeer(conn)
	if err != nil {
		_ = conn.Close() // nothing was written
		return nil, &Stranger{err}
	}
	return &Caller{conn: conn, PID: pid}, nil
}

// Close removes the socket. Whoever has come stays.
func (l *Listener) Close() {
	l.once.Do(func() {
		_ = l.socket.Close() // there is nothing to lose
		l.release(true)
	})
}

// Stranger is why somebody was not let in.
type Stranger struct{ Err error }

func (s *Stranger) Error() string { return s.Err.Error() }

// Unwrap is the reason.
func (s *Stranger) Unwrap() error { return s.Err }

// Caller is a program that has connected. Whoever has accepted it owns it, and ends it with Refuse
// or Close, or with the transport that it gives.
type Caller struct {
	PID   int    // as the kernel knows it; 0 if it does not, as for a program on another machine
	Host  string // whose certificate a program on another machine has; "" for one on this
	Token []byte // of a tunnel, once the greeting was heard; nil of a program that wants to join

	conn    net.Conn
	settled atomic.Bool // its greeting has come, or will not be waited for
}

// NewCaller is a program that has connected from another machine, whose host is known.
func NewCaller(conn net.Conn, host string) *Caller { return &Caller{Host: host, conn: conn} }

// Hear is the program's greeting: its name, which is all of its identity that counts, and its
// endpoints.
func (c *Caller) Hear(ctx context.Context) (*wire.BootResponse, error) {
	var hello wire.BootResponse
	err := within(ctx, c.conn, func() error {
		m, err := read(c.conn)
		if err != nil {
			return err
		}
		c.Token = m.Token
		return proto.Unmarshal(m.Boot, &hello)
	})
	if c.settled.Swap(true) {
		err = errors.New("it has not said who it is, and others have come since")
	}
	return &hello, err
}

// Displace closes the connection if the program's greeting has not come yet.
func (c *Caller) Displace() {
	if !c.settled.Swap(true) {
		c.Close()
	}
}

// Admit answers with who the program is. Then the socket is a link's.
func (c *Caller) Admit(ctx context.Context, boot *wire.BootRequest) (link.Transport, error) {
	b, err := proto.Marshal(boot)
	if err != nil {
		return nil, err
	}
	return c.answer(ctx, greeting{Boot: b})
}

// Accept answers a tunnel that was waited for. Then the socket is a link's.
func (c *Caller) Accept(ctx context.Context) (link.Transport, error) {
	return c.answer(ctx, greeting{})
}

func (c *Caller) answer(ctx context.Context, m greeting) (link.Transport, error) {
	if err := within(ctx, c.conn, func() error { return write(c.conn, m) }); err != nil {
		return nil, err
	}
	return transport(c.conn), nil
}

// Refuse answers with why the program cannot join, and closes the connection.
func (c *Caller) Refuse(ctx context.Context, why error, self actor.ID) {
	if b, err := proto.Marshal(fault.Pack(why, self)); err == nil {
		_ = within(ctx, c.conn, func() error { return write(c.conn, greeting{Fault: b}) }) // it may be gone
	}
	c.Close()
}

// Close ends the connection.
func (c *Caller) Close() { _ = c.conn.Close() } // only the first one closes

// Join connects to the host at an address, says hello, and gives the connection, which is a link's
// from now on, with who this program is. It waits for a host that is about to serve there, or to
// end. Errors: [ErrNoHost] (and [ErrServed], if there is one all the same), what the host refuses
// it with, and what is wrong with the address.
func Join(ctx context.Context, address string, hello *wire.BootResponse) (link.Transport, *wire.BootRequest, error) {
	path, err := rundir.Socket(address)
	if err != nil {
		return nil, nil, err
	}
	for limit := time.Now().Add(patience); ; {
		t, boot, err := joinOnce(ctx, path, hello)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil, nil, context.Cause(ctx)
		case !errors.Is(err, ErrNoHost) || !rundir.Occupied(path):
			return t, boot, err
		case time.Now().After(limit):
			return nil, nil, hidden{fmt.Errorf("%w, though a host has the address: is it stopped, or was its socket removed?", err)}
		}
		select {
		case <-time.After(turnPause):
		case <-ctx.Done():
		}
	}
}

// hidden is that no host can be joined at an address which one has. It matches [ErrServed] as well.
type hidden struct{ error }

func (hidden) Is(target error) bool { return target == ErrServed }

func (h hidden) Unwrap() error { return h.error }

// joinOnce is Join as things are now.
func joinOnce(ctx context.Context, path string, hello *wire.BootResponse) (link.Transport, *wire.BootRequest, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return JoinOver(ctx, conn, hello)
}

// JoinOver is Join over a connection with a host that is known, as one on another machine is. It closes the connection
// if it fails.
func JoinOver(ctx context.Context, conn net.Conn, hello *wire.BootResponse) (link.Transport, *wire.BootRequest, error) {
	b, err := proto.Marshal(hello)
	if err != nil {
		_ = conn.Close() // err says what is wrong
		return nil, nil, err
	}
	return greet(ctx, conn, greeting{Boot: b})
}

// Dial connects to the host at an address as things are now, with which [Tunnel] begins.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	path, err := rundir.Socket(address)
	if err != nil {
		return nil, err
	}
	return dial(ctx, path)
}

// Tunnel makes a connection with a host the one for which that waits, with this token. It closes the connection if
// it fails.
func Tunnel(ctx context.Context, conn net.Conn, token []byte) (link.Transport, error) {
	t, _, err := greet(ctx, conn, greeting{Token: token})
	return t, err
}

// greet says to a host what its program wants, and gives who that is, unless it is a tunnel. It closes the connection if
// it fails.
func greet(ctx context.Context, conn net.Conn, hello greeting) (_ link.Transport, boot *wire.BootRequest, err error) {
	defer func() {
		if err != nil {
			_ = conn.Close() // err says what is wrong
		}
	}()
	var answer greeting
	err = within(ctx, conn, func() (err error) {
		_ = write(conn, hello) // whoever has closed the connection may have said why before
		answer, err = read(conn)
		return err
	})
	switch {
	case errors.Is(err, errClosed), errors.Is(err, syscall.ECONNRESET): // as a host does that ends
		return nil, nil, fmt.Errorf("%w: %s; %w", ErrNoHost, conn.RemoteAddr(), err)
	case err != nil:
		return nil, nil, fmt.Errorf("connect to the host at %s: %w", conn.RemoteAddr(), err)
	}
	boot, err = answer.boot()
	return transport(conn), boot, err
}

// transport is that of a link over a connection.
func transport(conn net.Conn) link.Transport {
	if local, is := conn.(*net.UnixConn); is {
		return link.NewLocal(local)
	}
	return link.NewStream(conn)
}

// checkPeer is the pid of the process at the other end of a connection, as the kernel knows it; an
// error if it is not this user's. The pid is 0 in another pid namespace.
func checkPeer(conn *net.UnixConn) (pid int, err error) {
	pid, uid, err := link.Peer(conn)
	switch {
	case errors.Is(err, errors.ErrUnsupported): // nothing says here whose process is at the other end
		return 0, errors.New("joining a host works on Linux only, where the kernel tells whose process is at the other end")
	case err != nil:
		return 0, err
	case uid != os.Geteuid():
		return 0, fmt.Errorf("the process at the other end, %d, belongs to the user %d, expected %d", pid, uid, os.Geteuid())
	}
	return pid, nil
}

// dial connects to the host at a path, which is one of this user's. A socket at which nobody listens is as good as none.
func dial(ctx context.Context, path string) (net.Conn, error) {
	err := rundir.CheckSocket(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; start one: host serve, or a program with host.Options.Serve", ErrNoHost, path)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the host at %s: %w", path, err)
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; nobody listens at the socket that is there, as after kill -9; start one: host serve, or a program with host.Options.Serve", ErrNoHost, path)
	}
	if err != nil {
		return nil, err
	}
	if _, err := checkPeer(conn.(*net.UnixConn)); err != nil { //nolint:forcetypeassert // it is of this type for this network
		_ = conn.Close() // nothing was written
		return nil, fmt.Errorf("connect to the host at %s: %w", path, err)
	}
	return conn, nil
}
