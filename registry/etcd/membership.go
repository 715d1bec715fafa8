package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seed-2ba35074/trellis/fleet"
)

// membership is one lease, and the keys that hang on it. The registry owns its goroutines, which end with it.
type membership struct {
	r       *Registry
	host    string // its name
	id      clientv3.LeaseID
	cluster uint64
	epoch   int64
	turn    chan struct{} // holds one: whoever changes what the membership holds
	lost    chan struct{}

	mu     sync.Mutex // guards the rest; nobody is waited for under it
	self   fleet.Host
	lease  lease
	floor  int64            // the highest revision that an answer had
	names  map[string]int64 // what is held, with the revisions of the keys; 0 if the answer to Hold was lost
	gone   int              // how often Release has begun
	failed error            // why the last renewal failed
	err    error            // why the membership has ended
}

// end makes the membership lost, if it is not.
func (m *membership) end(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endLocked(cause)
}

func (m *membership) endLocked(cause error) {
	if m.err == nil {
		m.lease.lost = true
		m.err = &fleet.LostError{Host: m.host, Epoch: m.Epoch(), Cause: cause}
		close(m.lost)
	}
}

// begun waits for the turn to change what the membership holds. A membership whose time is over is lost here and now,
// also if no timer has run since.
func (m *membership) begun(ctx context.Context) (done func(), err error) {
	select {
	case m.turn <- struct{}{}:
	case <-m.lost:
		return nil, m.Err()
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), fmt.Errorf("%w: an earlier request is under way", fleet.ErrUnavailable))
	}
	done = func() { <-m.turn }
	m.mu.Lock()
	expired := m.lease.expired(now())
	m.mu.Unlock()
	if expired {
		m.end(fleet.ErrUnavailable)
		done()
		return nil, m.Err()
	}
	return done, nil
}

func (m *membership) releases() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

func (m *membership) hostKey() string { return m.r.prefix + fleet.HostPrefix + m.host }

// there compares that the host is still a member.
func (m *membership) there() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(m.hostKey()), "=", m.epoch)
}

// compares are that all is held that the membership holds for certain.
func (m *membership) compares() (all []clientv3.Cmp) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, revision := range m.names {
		if revision != 0 {
			all = append(all, clientv3.Compare(clientv3.CreateRevision(m.r.prefix+name), "=", revision))
		}
	}
	return all
}

// Epoch implements [fleet.Membership].
func (m *membership) Epoch() uint64 { return uint64(m.epoch) } //nolint:gosec // revisions are above 0

// Hold implements [fleet.Membership].
func (m *membership) Hold(ctx context.Context, name string) (uint64, error) {
	if err := fleet.CheckHold(name); err != nil {
		return 0, err
	}
	done, err := m.begun(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	text, err := m.intend(name)
	if err != nil {
		return 0, err
	}
	key := m.r.prefix + name
	resp, err := m.r.txn(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0), m.there()},
		[]clientv3.Op{clientv3.OpPut(key, text, clientv3.WithLease(m.id))}, []clientv3.Op{clientv3.OpGet(key), clientv3.OpGet(m.hostKey())})
	if err != nil {
		return 0, m.r.failure(ctx, "holding "+name, err)
	}
	m.note(resp.Header)
	revision, err := m.held(resp)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		delete(m.names, name)
		return 0, err
	}
	m.names[name] = revision
	return uint64(revision), nil //nolint:gosec // revisions are above 0
}

// intend takes note of a name that is perhaps held from now on, and gives what its key will have.
func (m *membership) intend(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.names[name]; !known {
		if len(m.names) > fleet.MostNames { // the host's own is one
			return "", fleet.TooManyNames(m.host)
		}
		m.names[name] = 0
	}
	return encode(m.self, m.Epoch())
}

// held is the revision at which the name of Hold's transaction was taken, by this membership.
func (m *membership) held(resp *clientv3.TxnResponse) (int64, error) {
	if resp.Succeeded {
		return resp.Header.Revision, nil
	}
	name, host := resp.Responses[0].GetResponseRange().Kvs, resp.Responses[1].GetResponseRange().Kvs
	switch {
	case len(host) == 0 || host[0].CreateRevision != m.epoch:
		m.end(errors.New("the registry does not know the host any more: its lease is over, or the registry was restored from an earlier state"))
		return 0, m.Err()
	case len(name) == 0:
		return 0, fmt.Errorf("%w: etcd has refused a name that nobody holds", fleet.ErrUnavailable)
	case clientv3.LeaseID(name[0].Lease) == m.id:
		return name[0].CreateRevision, nil
	}
	e, err := m.r.decode(name[0])
	if err != nil {
		return 0, err
	}
	return 0, &fleet.HeldError{Entry: e}
}

// Release implements [fleet.Membership].
func (m *membership) Release(ctx context.Context, name string) error {
	if err := fleet.CheckHold(name); err != nil {
		return err
	}
	done, err := m.begun(ctx)
	if err != nil {
		return err
	}
	defer done()
	m.mu.Lock()
	if _, known := m.names[name]; known {
		m.names[name] = 0 // the answer may be lost
	}
	m.gone++
	m.mu.Unlock()
	key := m.r.prefix + name
	resp, err := m.r.txn(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.LeaseValue(key), "=", m.id)}, []clientv3.Op{clientv3.OpDelete(key)}, nil)
	if err != nil {
		return m.r.failure(ctx, "releasing "+name, err)
	}
	m.note(resp.Header)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
	return nil
}

// Update implements [fleet.Membership].
func (m *membership) Update(ctx context.Context, h fleet.Host) error {
	if err := h.Check(); err != nil {
		return err
	}
	if h.Name != m.host {
		return fmt.Errorf("a membership of host %s cannot become one of %s", m.host, h.Name)
	}
	done, err := m.begun(ctx)
	if err != nil {
		return err
	}
	defer done()
	ops, err := m.puts(h)
	if err != nil {
		return err
	}
	resp, err := m.r.txn(ctx, m.compares(), ops, nil)
	switch {
	case err != nil:
		return m.r.failure(ctx, "updating host "+h.Name, err)
	case !resp.Succeeded:
		m.end(errors.New("the registry does not have what this host holds: its lease is over, or the registry was restored from an earlier state"))
		return m.Err()
	}
	m.note(resp.Header)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self = h.Clone()
	return nil
}

// puts replace what the keys of the membership say of it.
func (m *membership) puts(h fleet.Host) (ops []clientv3.Op, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, revision := range m.names {
		epoch := m.Epoch()
		switch {
		case revision == 0: // it may be another one's; its next holding says it
			continue
		case name == fleet.HostPrefix+h.Name:
			epoch = 0
		}
		text, err := encode(h, epoch)
		if err != nil {
			return nil, err
		}
		ops = append(ops, clientv3.OpPut(m.r.prefix+name, text, clientv3.WithLease(m.id)))
	}
	return ops, nil
}

// Until implements [fleet.Membership].
func (m *membership) Until() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.lease.until() - now())
}

// Lost implements [fleet.Membership].
func (m *membership) Lost() <-chan struct{} { return m.lost }

// Err implements [fleet.Membership].
func (m *membership) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Leave implements [fleet.Membership].
func (m *membership) Leave(ctx context.Context) error { return m.leave(ctx, fleet.ErrLeft) }

func (m *membership) leave(ctx context.Context, cause error) error {
	m.mu.Lock()
	over := m.err != nil
	m.endLocked(cause)
	m.mu.Unlock()
	if over {
		return nil
	}
	if err := m.r.end(ctx, m.id); err != nil {
		return m.r.failure(ctx, "leaving", err)
	}
	return nil
}
