package fabric

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

const (
	// mostHandshakes are connections that have not been accepted yet. Another one displaces one
	// of them, since strangers that say nothing must not keep hosts out.
	mostHandshakes = 64
	// mostExpected are tokens.
	mostExpected = 1024
)

// Listener is where hosts of the fleet connect. It owns a goroutine that accepts and one for each
// connection until that is accepted; Close ends all of them, and waits. Its methods may be called from
// any goroutine.
type Listener struct {
	credentials *fleet.Credentials
	socket      net.Listener
	tasks       task.Group
	accepted    chan arrival // unbuffered: what nobody has accepted is still the listener's
	closed      chan struct{}
	once        sync.Once

	mu       sync.Mutex // guards the rest
	over     bool
	fresh    []*visitor // the oldest first
	expected map[Token]*expectation
}

// arrival is what Accept returns.
type arrival struct {
	conn *Conn
	err  error
}

// expectation is a connection that somebody waits for. Its channel has room for it. Nobody waits any more if
// it is over.
type expectation struct {
	host    string
	tunnels chan net.Conn
	over    bool
}

// Listen makes a listener at an address of TCP, as in "10.0.0.1:7077".
func Listen(ctx context.Context, address string, credentials *fleet.Credentials) (*Listener, error) {
	if _, err := credentials.TLS(""); err != nil {
		return nil, err
	}
	socket, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		credentials: credentials, socket: socket, accepted: make(chan arrival), closed: make(chan struct{}), expected: map[Token]*expectation{},
	}
	l.tasks.Go(l.listen)
	return l, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Accept waits for the next host that wants to join. The error of a connection that is not let in is a
// [*Stranger]; any other one is the listener's own: net.ErrClosed after Close.
func (l *Listener) Accept() (*Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener, what has not been accepted, and what is expected. Connections that were accepted stay.
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
		for token, e := range l.expected {
			close(e.tunnels)
			delete(l.expected, token)
		}
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

// Expect gives one connection that a host opens with a token ([DialTunnel]). The channel is closed behind that
// connection, at cancel, when the listener is closed, and at once if too many are expected (docs/bounds.md).
// cancel must be called in the end, and closes a connection that nobody has taken from the channel.
func (l *Listener) Expect(host string, token Token) (tunnels <-chan net.Conn, cancel func()) {
	e := &expectation{host: host, tunnels: make(chan net.Conn, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || len(l.expected) == mostExpected {
		close(e.tunnels)
		return e.tunnels, func() {}
	}
	l.expected[token] = e
	return e.tunnels, func() { l.unexpect(token, e) }
}

func (l *Listener) unexpect(token Token, e *expectation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.over = true
	if l.expected[token] == e {
		delete(l.expected, token)
		close(e.tunnels)
	}
	select {
	case conn, ok := <-e.tunnels:
		if ok {
			_ = conn.Close() // nobody wants it
		}
	default: // it was claimed, and is not there yet
	}
}

// claim gives what waits for a token, which is used up.
func (l *Listener) claim(host string, token Token) (*expectation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.expected[token]
	if e == nil || e.host != host {
		return nil, fmt.Errorf("the host %s has a token that is not expected of it", host)
	}
	delete(l.expected, token)
	return e, nil
}

// deliver ends an expectation that was claimed, with the connection, if there is one and somebody still waits.
func (l *Listener) deliver(e *expectation, conn *Conn, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(e.tunnels)
	if err == nil && (e.over || l.over) {
		err = errors.New("nobody waits for it any more")
	}
	if err == nil {
		e.tunnels <- conn
	}
	return err
}

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

// receive hands a connection to Accept, or to whoever expects it.
func (l *Listener) receive(v *visitor) {
	over := time.NewTimer(patience)
	defer over.Stop()
	conn, expected, err := l.welcome(v.raw)
	if err != nil {
		_ = v.raw.Close() // err says why
		err = &Stranger{v.raw.RemoteAddr().String(), err}
	}
	if !expected {
		select {
		case <-v.gone:
			return
		case l.accepted <- arrival{conn, err}:
		case <-over.C:
			_ = v.raw.Close() // nobody has accepted it
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = slices.DeleteFunc(l.fresh, func(other *visitor) bool { return other == v })
}

// welcome finds out who has connected, and what for, and lets it go on. One that was expected has been
// delivered.
func (l *Listener) welcome(raw net.Conn) (c *Conn, expected bool, err error) {
	config, err := l.credentials.TLS("")
	if err == nil {
		err = prepare(raw, time.Now().Add(patience))
	}
	if err != nil {
		return nil, false, err
	}
	config.NextProtos = []string{protocol}
	c = &Conn{Conn: tls.Server(raw, config)}
	if err := c.settle(); err != nil {
		return nil, false, err
	}
	var hello greeting
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		return nil, false, fmt.Errorf("the host %s has not said what it wants: %w", c.host, err)
	}
	switch hello[0] {
	case kindJoin:
		return c, false, c.goOn()
	case kindTunnel:
		e, err := l.claim(c.host, Token(hello[1:]))
		if err != nil {
			return nil, false, err
		}
		err = l.deliver(e, c, c.goOn())
		return c, err == nil, err
	}
	return nil, false, fmt.Errorf("the host %s wants something of the kind %d, which this one does not know", c.host, hello[0])
}

// goOn tells the other end that it was let in, and ends the time that it had for that.
func (c *Conn) goOn() error {
	if _, err := c.Write([]byte{goAhead}); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}
