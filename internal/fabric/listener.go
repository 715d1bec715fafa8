package fabric

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// mostHandshakes are connections that have not been accepted yet. Another one displaces one
// of them, since strangers that say nothing must not keep hosts out.
const mostHandshakes = 64

// Listener is where hosts of the fleet connect. It owns a goroutine that accepts and one for each
// connection until that is accepted; Close ends all of them, and waits. Its methods may be called from
// any goroutine.
type Listener struct {
	credentials *fleet.Credentials
	patience    time.Duration // how long a handshake may take, with all that follows until the connection is accepted
	socket      net.Listener
	tasks       task.Group
	accepted    chan arrival // unbuffered: what nobody has accepted is still the listener's
	closed      chan struct{}
	once        sync.Once

	mu    sync.Mutex // guards the rest
	over  bool
	fresh []*visitor // the oldest first
}

// arrival is what Accept returns, and of whom; of nobody if it is the listener's own failure.
type arrival struct {
	of   *visitor
	conn *Conn
	err  error
}

// Listen makes a listener at an address of TCP, as in "10.0.0.1:7077".
func Listen(ctx context.Context, address string, credentials *fleet.Credentials) (*Listener, error) {
	return listen(ctx, address, credentials, patience)
}

// listen is Listen with another bound for those that connect.
func listen(ctx context.Context, address string, credentials *fleet.Credentials, patience time.Duration) (*Listener, error) {
	if _, err := credentials.TLS(""); err != nil {
		return nil, err
	}
	socket, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &Listener{credentials: credentials, patience: patience, socket: socket, accepted: make(chan arrival), closed: make(chan struct{})}
	l.tasks.Go(l.listen)
	return l, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Accept waits for the next host that connects. The error of a connection that is not let in is a
// [*Stranger]; any other one is the listener's own: net.ErrClosed after Close.
func (l *Listener) Accept() (*Conn, error) {
	for {
		select {
		case a := <-l.accepted:
			if a.of == nil || l.forget(a.of) {
				return a.conn, a.err
			}
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// forget has a visitor accepted, whom nobody can displace any more; false if somebody has.
func (l *Listener) forget(v *visitor) (was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.fresh, v)
	if i >= 0 {
		l.fresh = slices.Delete(l.fresh, i, i+1)
	}
	return i >= 0
}

// Close ends the listener, and what has not been accepted. Connections that were accepted stay.
func (l *Listener) Close() {
	l.once.Do(func() {
		close(l.closed)
		_ = l.socket.Close() // there is nothing to lose
		l.mu.Lock()
		defer l.mu.Unlock()
		l.over = true
		for _, v := range l.fresh {
			v.displace()
		}
		l.fresh = nil
	})
	l.tasks.Close()
}

// Stranger is why somebody was not let in.
type Stranger struct {
	From string // an address
	Err  error
}

func (s *Stranger) Error() string { return fmt.Sprintf("a connection from %s: %v", s.From, s.Err) }

// Unwrap is the reason.
func (s *Stranger) Unwrap() error { return s.Err }

// listen accepts connections until the listener is closed. What fails on the way is for Accept.
func (l *Listener) listen() {
	for {
		raw, err := l.socket.Accept()
		if err == nil {
			l.admit(raw)
			continue
		}
		select {
		case <-l.closed:
			return
		case l.accepted <- arrival{err: err}: // its caller says when it is time to try again
		}
	}
}

// admit gives a connection a place, and a goroutine until it is accepted.
func (l *Listener) admit(raw net.Conn) {
	v := &visitor{raw, addressOf(raw), make(chan struct{})}
	l.mu.Lock()
	if len(l.fresh) == mostHandshakes {
		l.makeWay()
	}
	if l.over {
		v.displace()
	} else {
		l.fresh = append(l.fresh, v)
	}
	l.mu.Unlock()
	if !l.tasks.Go(func() { l.receive(v) }) {
		_ = raw.Close() // nothing was said
	}
}

// visitor is a connection that has not been accepted yet. gone is closed if it has to make way.
type visitor struct {
	raw  net.Conn
	from string // its address, without the port
	gone chan struct{}
}

// addressOf is that of the machine at the other end.
func addressOf(raw net.Conn) string {
	host, _, _ := net.SplitHostPort(raw.RemoteAddr().String()) // it has a port
	return host
}

// makeWay displaces the oldest visitor from the address that has most of them: a machine that floods this one
// displaces its own connections, and nobody else's. It is called under the lock.
func (l *Listener) makeWay() {
	from := map[string]int{}
	most := 0
	for _, v := range l.fresh {
		from[v.from]++
		most = max(most, from[v.from])
	}
	i := slices.IndexFunc(l.fresh, func(v *visitor) bool { return from[v.from] == most })
	l.fresh[i].displace()
	l.fresh = slices.Delete(l.fresh, i, i+1)
}

// displace ends a visitor. It is called once, under the lock.
func (v *visitor) displace() {
	close(v.gone)
	_ = v.raw.Close() // it is no loss
}

// receive hands a connection to Accept.
func (l *Listener) receive(v *visitor) {
	over := time.NewTimer(l.patience)
	defer over.Stop()
	conn, err := l.welcome(v.raw)
	if err != nil {
		_ = v.raw.Close() // err says why
		err = &Stranger{v.raw.RemoteAddr().String(), err}
	}
	select {
	case <-v.gone:
	case l.accepted <- arrival{v, conn, err}:
	case <-over.C:
		l.forget(v)
		_ = v.raw.Close() // nobody has accepted it
	}
}

// welcome finds out who has connected, and lets it in.
func (l *Listener) welcome(raw net.Conn) (*Conn, error) {
	config, err := l.credentials.TLS("")
	if err == nil {
		err = prepare(raw, time.Now().Add(l.patience))
	}
	if err != nil {
		return nil, err
	}
	config.NextProtos = []string{protocol}
	c := &Conn{Conn: tls.Server(raw, config)}
	if err := c.settle(); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{letIn}); err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Time{}) // the time that it had is over
}
