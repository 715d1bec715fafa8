package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
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

	mu      sync.Mutex // guards the rest; nobody is waited for under it
	self    fleet.Host
	lease   lease
	floor   int64            // the highest revision that an answer had
	version int64            // of the host's key: see fence
	names   map[string]int64 // what is held, with the revisions of the keys; 0 if the answer to Hold was lost
	gone    int              // how often Release has begun
	failed  error            // why the last renewal failed
	err     error            // why the membership has ended
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
	if err := m.intend(name); err != nil {
		return 0, err
	}
	key := m.r.prefix + name
	for range attempts {
		put, err := m.putSelf(key)
		if err != nil {
			return 0, err
		}
		found, err := m.fenced(ctx, key, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}, put...)
		switch {
		case err != nil:
			return 0, m.failure(ctx, "holding "+name, err)
		case found.done:
			return m.holds(name, found.revision), nil
		case found.kv == nil: // it was another's, or an earlier attempt was heard late
			continue
		case clientv3.LeaseID(found.kv.Lease) != m.id:
			m.forgetName(name)
			e, err := m.r.decode(found.kv)
			if err != nil {
				return 0, err
			}
			return 0, &fleet.HeldError{Entry: e}
		}
		// It is held already; what of earlier requests is still on its way must not take it away.
		same := clientv3.Compare(clientv3.CreateRevision(key), "=", found.kv.CreateRevision)
		again, err := m.fenced(ctx, key, []clientv3.Cmp{same}, put[1])
		switch {
		case err != nil:
			return 0, m.failure(ctx, "holding "+name, err)
		case again.done:
			return m.holds(name, found.kv.CreateRevision), nil
		}
	}
	return 0, fmt.Errorf("holding %s: %w: others change it again and again", name, fleet.ErrUnavailable)
}

// attempts bounds how often a request is made anew because something else came in between.
const attempts = 10

// outcome is what became of a fenced transaction.
type outcome struct {
	done     bool
	revision int64
	kv       *mvccpb.KeyValue // what the key has if it was not done; nil if there is none
}

// fenced makes a transaction if the comparisons hold, and if it is the first to be made after the last one that was. An attempt whose answer was lost may
// reach the registry late, when a newer request was carried out already: so each raises the version of the host's own key,
// which it writes, and fails with any other version than it knows.
func (m *membership) fenced(ctx context.Context, key string, when []clientv3.Cmp, ops ...clientv3.Op) (o outcome, err error) {
	m.mu.Lock()
	version := m.version
	m.mu.Unlock()
	when = append(when, m.there(), clientv3.Compare(clientv3.Version(m.hostKey()), "=", version))
	resp, err := m.r.txn(ctx, when, ops,
		[]clientv3.Op{clientv3.OpGet(key), clientv3.OpGet(m.hostKey())})
	if err != nil {
		return o, err
	}
	m.note(resp.Header)
	if resp.Succeeded {
		m.atVersion(version + 1)
		return outcome{done: true, revision: resp.Header.Revision}, nil
	}
	name, host := resp.Responses[0].GetResponseRange().Kvs, resp.Responses[1].GetResponseRange().Kvs
	if len(host) == 0 || host[0].CreateRevision != m.epoch {
		m.end(errors.New("the registry does not know the host any more: its lease is over, or the registry was restored from an earlier state"))
		return o, m.Err()
	}
	m.atVersion(host[0].Version)
	if len(name) > 0 {
		o.kv = name[0]
	}
	return o, nil
}

func (m *membership) atVersion(version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version = version
}

// failure is an error of fenced, for the caller: the end of the membership, or a failure of etcd.
func (m *membership) failure(ctx context.Context, what string, err error) error {
	if lost, ok := errors.AsType[*fleet.LostError](err); ok {
		return lost
	}
	return m.r.failure(ctx, what, err)
}

// putSelf writes a name's key, and the host's own.
func (m *membership) putSelf(key string) ([]clientv3.Op, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, err := encode(m.self, m.Epoch())
	if err != nil {
		return nil, err
	}
	host, err := encode(m.self, 0)
	return []clientv3.Op{clientv3.OpPut(key, name, clientv3.WithLease(m.id)), clientv3.OpPut(m.hostKey(), host, clientv3.WithLease(m.id))}, err
}

// intend takes note of a name that is perhaps held from now on.
func (m *membership) intend(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.names[name]; !known {
		if len(m.names) > fleet.MostNames { // the host's own is one
			return fleet.TooManyNames(m.host)
		}
		m.names[name] = 0
	}
	return nil
}

func (m *membership) holds(name string, revision int64) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[name] = revision
	return uint64(revision) //nolint:gosec // revisions are above 0
}

func (m *membership) forgetName(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
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
	_, known := m.names[name]
	if known {
		m.names[name] = 0 // the answer may be lost
	}
	m.gone++
	m.mu.Unlock()
	if !known {
		return nil
	}
	key := m.r.prefix + name
	for range attempts {
		put, err := m.putSelf(key)
		if err != nil {
			return err
		}
		found, err := m.fenced(ctx, key, []clientv3.Cmp{clientv3.Compare(clientv3.LeaseValue(key), "=", m.id)}, clientv3.OpDelete(key), put[1])
		if err == nil && !found.done && (found.kv == nil || clientv3.LeaseID(found.kv.Lease) != m.id) {
			// It is not held; what of earlier requests is still on its way must not take it.
			found, err = m.fenced(ctx, key, nil, put[1])
		}
		switch {
		case err != nil:
			return m.failure(ctx, "releasing "+name, err)
		case found.done:
			m.forgetName(name)
			return nil
		}
	}
	return fmt.Errorf("releasing %s: %w: something comes in between again and again", name, fleet.ErrUnavailable)
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
	for range attempts {
		found, err := m.fenced(ctx, m.hostKey(), m.compares(), ops...)
		if err != nil {
			return m.failure(ctx, "updating host "+h.Name, err)
		}
		if found.done {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.self = h.Clone()
			return nil
		}
	}
	m.end(errors.New("the registry does not have what this host holds: its lease is over, or the registry was restored from an earlier state"))
	return m.Err()
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
