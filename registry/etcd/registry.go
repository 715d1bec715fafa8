package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// Driver is the name of this driver.
const Driver = "etcd"

// Register makes the driver known to [fleet.Open].
func Register() { fleet.Register(Driver, Open) }

// Registry is a client of etcd. It owns the goroutines of its memberships, two for each. Its methods may be
// called from any goroutine.
type Registry struct {
	settings fleet.Settings
	prefix   string
	client   *clientv3.Client
	dialed   *dialed
	ctx      context.Context // ends when the registry is closed
	cancel   context.CancelFunc
	tasks    task.Group

	mu      sync.Mutex // guards the rest
	members map[*membership]struct{}
}

// Open makes a client. It waits for nothing: a cluster that cannot be reached is told by what is asked of it. Of the settings it
// reads Endpoints, Credentials, TTL, Margin, Space and Log.
func Open(_ context.Context, s fleet.Settings) (fleet.Registry, error) {
	r, err := open(s.WithDefaults())
	if err != nil {
		return nil, err // and not a nil of another type
	}
	return r, nil
}

func open(s fleet.Settings) (*Registry, error) {
	if len(s.Endpoints) == 0 {
		return nil, errors.New("the registry etcd has no endpoints; give it those of its servers, as 10.0.0.1:2379")
	}
	for _, e := range s.Endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil || strings.Contains(e, "/") {
			return nil, fmt.Errorf("the endpoint %q of the registry is not an address with a port, as 10.0.0.1:2379", e)
		}
	}
	if s.Dir != "" || s.Listen != "" || len(s.Peers) > 0 {
		return nil, errors.New("dir, listen and peers are for etcdembed; etcd has its servers elsewhere")
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	client, dialed, err := newClient(s)
	if err != nil {
		return nil, fmt.Errorf("a client of etcd: %w", err)
	}
	r := &Registry{settings: s, prefix: s.Space + "/", client: client, dialed: dialed, members: map[*membership]struct{}{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// request asks one thing, again and again until half of a lease is over: a server that is frozen keeps a connection and
// answers nothing, and the next attempt goes to another one. What is asked may so be done twice, of which it must make nothing.
func request[Answer any](ctx context.Context, r *Registry, ask func(ctx context.Context) (Answer, error)) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.TTL/2)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	for {
		attempt, done := context.WithTimeout(ctx, max(time.Second, r.settings.TTL/8))
		answer, err := ask(attempt)
		late := attempt.Err() != nil
		done()
		if err == nil || ctx.Err() != nil || !late || !temporary(err) {
			return answer, err
		}
	}
}

// txn is a transaction.
func (r *Registry) txn(ctx context.Context, when []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	return request(ctx, r, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return r.client.Txn(ctx).If(when...).Then(then...).Else(otherwise...).Commit()
	})
}

func (r *Registry) get(ctx context.Context, key string, o ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return request(ctx, r, func(ctx context.Context) (*clientv3.GetResponse, error) { return r.client.Get(ctx, key, o...) })
}

// value is what a key has.
type value struct {
	fleet.Host
	// Epoch of the membership that holds the name; 0 in that of a host, whose epoch is the key's own revision.
	Epoch uint64 `json:"epoch,omitempty"`
}

func encode(h fleet.Host, epoch uint64) (string, error) {
	text, err := json.Marshal(value{h, epoch})
	if err == nil && len(text) > fleet.MostHost {
		err = fmt.Errorf("what host %s says of itself has %d bytes as JSON, more than %d", h.Name, len(text), fleet.MostHost)
	}
	return string(text), err
}

// decode is the entry that a key stands for.
func (r *Registry) decode(kv *mvccpb.KeyValue) (fleet.Entry, error) {
	var v value
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return fleet.Entry{}, fmt.Errorf("the key %q of etcd is not a registry's: %w", kv.Key, err)
	}
	e := fleet.Entry{Name: strings.TrimPrefix(string(kv.Key), r.prefix), Epoch: uint64(kv.CreateRevision)} //nolint:gosec // revisions are above 0
	e.Holder = fleet.Member{Host: v.Host, Epoch: v.Epoch}
	if v.Epoch == 0 {
		e.Holder.Epoch = e.Epoch
	}
	return e, nil
}

// snapshot is what is held below a prefix, with the header of the answer.
func (r *Registry) snapshot(ctx context.Context, prefix string) (all []fleet.Entry, header *pb.ResponseHeader, err error) {
	resp, err := r.get(ctx, r.prefix+prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, nil, err
	}
	for _, kv := range resp.Kvs {
		e, err := r.decode(kv)
		if err != nil {
			r.settings.Log("a key is left out", err)
			continue
		}
		all = append(all, e)
	}
	return all, resp.Header, nil
}

// Hosts implements [fleet.Registry].
func (r *Registry) Hosts(ctx context.Context) ([]fleet.Member, error) {
	entries, _, err := r.snapshot(ctx, fleet.HostPrefix)
	if err != nil {
		return nil, r.failure(ctx, "which hosts there are", err)
	}
	all := make([]fleet.Member, 0, len(entries))
	for _, e := range entries {
		all = append(all, e.Holder)
	}
	return all, nil
}

// Find implements [fleet.Registry].
func (r *Registry) Find(ctx context.Context, name string) (fleet.Entry, error) {
	resp, err := r.get(ctx, r.prefix+name)
	switch {
	case err != nil:
		return fleet.Entry{}, r.failure(ctx, "who holds "+name, err)
	case len(resp.Kvs) == 0:
		return fleet.Entry{}, fmt.Errorf("%s: %w", name, fleet.ErrNotHeld)
	}
	return r.decode(resp.Kvs[0])
}

// closeWithin bounds Close, which asks the cluster to end the memberships.
const closeWithin = time.Second

// Close implements [fleet.Registry].
func (r *Registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	r.mu.Lock()
	var leaving []*task.Worker
	for m := range r.members {
		leaving = append(leaving, task.Start(func() {
			if err := m.leave(ctx, fleet.ErrClosed); err != nil {
				r.settings.Log("the lease stays until it is over", err)
			}
		}))
	}
	r.mu.Unlock()
	for _, w := range leaving {
		w.Wait()
	}
	r.cancel()
	r.tasks.Close()
	if err := r.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("closing etcd's client: %w", err)
	}
	return nil
}
