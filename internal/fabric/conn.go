package fabric

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
)

const (
	// patience is how long a handshake may take, with all that follows until the connection is accepted.
	patience = 5 * time.Second
	// protocol is what both ends agree on with TLS (ALPN).
	protocol = "trellis.v1.fabric"
	letIn    = 1
)

// keepAlive asks a silent peer after one second and again after another whether it is still there.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}

// unacknowledged is how long what was sent may stay without an answer of the kernel at the other end, where
// this system can be told so.
const unacknowledged = 2 * time.Second

// Conn is a connection with a host of the fleet. Whoever has got it owns it, and closes it.
type Conn struct {
	*tls.Conn
	host string
}

// Host is the name of the host at the other end, as its certificate has it.
func (c *Conn) Host() string { return c.host }

// Close closes the connection at once: TLS's own may wait for a peer that does not read.
func (c *Conn) Close() error { return c.NetConn().Close() }

// Dial connects to a host of the fleet. peer is its name; "" lets any one answer. The
// error of a peer that is not there is the system's; another one says who is not let in by whom. ctx bounds
// only the dialling, which takes 5 seconds at most.
func Dial(ctx context.Context, credentials *fleet.Credentials, address, peer string) (_ *Conn, err error) {
	config, err := credentials.TLS(peer)
	if err != nil {
		return nil, err
	}
	limit := time.Now().Add(patience)
	dialer := net.Dialer{Deadline: limit, KeepAliveConfig: keepAlive}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	defer func() {
		if err != nil {
			_ = raw.Close() // err says what is wrong
		}
	}()
	if err := prepare(raw, limit); err != nil {
		return nil, err
	}
	config.NextProtos = []string{protocol}
	c := &Conn{Conn: tls.Client(raw, config)}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // long ago: enter ends
	err = c.enter()
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the host at %s: %w", address, err)
	}
	return c, raw.SetDeadline(time.Time{})
}

// enter waits until the other end has let this one in.
func (c *Conn) enter() error {
	if err := c.settle(); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return fmt.Errorf("it did not let this host in: %w", err)
	}
	if answer[0] != letIn {
		return fmt.Errorf("it answered with the byte %d, expected %d", answer[0], letIn)
	}
	return nil
}

// settle is the handshake, after which it is known who is at the other end. The deadline of the connection bounds it.
func (c *Conn) settle() (err error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return err
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return errors.New("the other end does not speak " + protocol)
	}
	c.host, err = fleet.PeerHost(state)
	return err
}

// prepare sets the bounds of a connection.
func prepare(raw net.Conn, limit time.Time) error {
	if err := setUserTimeout(raw, unacknowledged); err != nil {
		return err
	}
	return raw.SetDeadline(limit)
}
