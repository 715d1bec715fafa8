package control

import (
	"context"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// Accept answers a tunnel that was waited for. Then the socket is a link's.
func (c *Caller) Accept(ctx context.Context) (link.Transport, error) {
	if err := within(ctx, c.conn, func() error { return write(c.conn, greeting{}) }); err != nil {
		return nil, err
	}
	return c.link(), nil
}

// Tunnel connects to the host at an address, which waits for a connection with this token, and gives that
// connection.
func Tunnel(ctx context.Context, address string, token []byte) (_ link.Transport, err error) {
	path, err := rundir.Socket(address)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close() // err says what is wrong
		}
	}()
	if _, err := checkPeer(conn); err != nil {
		return nil, err
	}
	var answer greeting
	err = within(ctx, conn, func() (err error) {
		_ = write(conn, greeting{Token: token}) // whoever has closed the connection may have said why before
		answer, err = read(conn)
		return err
	})
	if err == nil && len(answer.Fault) > 0 {
		_, err = answer.boot()
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the host at %s: %w", path, err)
	}
	return link.NewLocal(conn), nil
}
