package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/fleet"
)

// dialed remembers what became of the last attempt to reach each server, since a request only says that
// its time was over.
type dialed struct {
	credentials string
	ttl         time.Duration

	mu   sync.Mutex
	last map[string]error // by address
}

// newClient is a client whose connections notice by themselves, in the kernel, that a server is gone: gRPC would
// need more than ten seconds.
func newClient(s fleet.Settings) (*clientv3.Client, *dialed, error) {
	d := &dialed{credentials: s.Credentials, ttl: s.TTL, last: map[string]error{}}
	if s.Credentials != "" {
		if _, err := loadTLS(s.Credentials, ""); err != nil {
			return nil, nil, err
		}
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: s.Endpoints, Logger: zap.NewNop(), BackoffWaitBetween: 50 * time.Millisecond,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(d.dial),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: s.TTL / 2,
			}),
		},
	})
	return c, d, err
}

// dial connects to a server, with TLS if there are credentials; gRPC sees a plain connection.
func (d *dialed) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.ttl/2)
	defer cancel()
	conn, err := d.connect(ctx, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[address] = err
	return conn, err
}

func (d *dialed) connect(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2},
		Control:         unacknowledged(d.ttl / 2),
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil || d.credentials == "" {
		return conn, err
	}
	config, err := loadTLS(d.credentials, address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// tried says which servers could not be reached, and why.
func (d *dialed) tried() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, address := range slices.Sorted(maps.Keys(d.last)) {
		if err := d.last[address]; err != nil {
			all = append(all, fmt.Sprintf("%s: %v", address, err))
		} else {
			all = append(all, address+": connected, no answer in time")
		}
	}
	return strings.Join(all, "; ")
}

// failure is an error of etcd's client, told to whoever asked.
func (r *Registry) failure(ctx context.Context, what string, err error) error {
	if r.ctx.Err() != nil {
		return fleet.ErrClosed
	}
	if !temporary(err) {
		return fmt.Errorf("%s: etcd at %s: %w", what, strings.Join(r.settings.Endpoints, ", "), err)
	}
	detail := r.dialed.tried()
	if server, ok := errors.AsType[rpctypes.EtcdError](err); ok { // a server has answered
		detail = server.Error() + " (" + strings.Join(r.settings.Endpoints, ", ") + ")"
	}
	err = fmt.Errorf("%s: %w: etcd at %s", what, fleet.ErrUnavailable, detail)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// temporary reports whether trying again may heal it.
func temporary(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	code := status.Code(err)
	if server, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = server.Code()
	}
	return slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Internal, codes.Aborted}, code)
}
