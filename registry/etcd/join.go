package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seed-2ba35074/trellis/fleet"
)

// Join implements [fleet.Registry].
func (r *Registry) Join(ctx context.Context, h fleet.Host) (fleet.Membership, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	text, err := encode(h, 0)
	if err != nil {
		return nil, err
	}
	var sent time.Duration
	granted, err := request(ctx, r, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		sent = now()
		return r.client.Grant(ctx, int64(math.Ceil(r.settings.TTL.Seconds())))
	})
	if err != nil {
		return nil, r.failure(ctx, "a lease for host "+h.Name, err)
	}
	m := &membership{
		r: r, host: h.Name, self: h.Clone(), id: granted.ID, turn: make(chan struct{}, 1), lost: make(chan struct{}), version: 1, names: map[string]int64{},
		lease: newLease(sent, time.Duration(granted.TTL)*time.Second, r.settings.Margin),
	}
	key := r.prefix + fleet.HostPrefix + h.Name
	resp, err := r.txn(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(key, text, clientv3.WithLease(m.id))}, []clientv3.Op{clientv3.OpGet(key)})
	if err == nil {
		err = m.joined(resp)
	} else {
		err = r.failure(ctx, "joining as host "+h.Name, err)
	}
	if err != nil {
		r.revoke(ctx, m.id)
		return nil, err
	}
	return m, m.begin()
}

// joined takes note of the answer to Join's transaction. That may have been sent twice, of which the client knows
// nothing: the key with this lease is this membership's.
func (m *membership) joined(resp *clientv3.TxnResponse) error {
	m.cluster, m.floor, m.epoch = resp.Header.ClusterId, resp.Header.Revision, resp.Header.Revision
	if !resp.Succeeded {
		kvs := resp.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 {
			return fmt.Errorf("%w: etcd has refused a name that nobody holds", fleet.ErrUnavailable)
		}
		if clientv3.LeaseID(kvs[0].Lease) != m.id {
			e, err := m.r.decode(kvs[0])
			if err != nil {
				return err
			}
			return &fleet.HeldError{Entry: e}
		}
		m.epoch = kvs[0].CreateRevision // and its version is 1, since nothing else has written it
	}
	m.names[fleet.HostPrefix+m.host] = m.epoch
	return nil
}

// revoke gives back the lease of a host that could not join. If that fails, the lease ends by itself, with nobody to renew it.
func (r *Registry) revoke(ctx context.Context, id clientv3.LeaseID) {
	if err := r.end(context.WithoutCancel(ctx), id); err != nil {
		r.settings.Log("a lease that is not needed stays until it is over", err)
	}
}

// end ends a lease. One that is over already is an answer too.
func (r *Registry) end(ctx context.Context, id clientv3.LeaseID) error {
	_, err := request(ctx, r, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) { return r.client.Revoke(ctx, id) })
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// begin starts what keeps the membership alive, and what ends it in time.
func (m *membership) begin() error {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if !m.r.tasks.Go(m.keep) || !m.r.tasks.Go(m.guard) {
		m.end(fleet.ErrClosed)
		return fleet.ErrClosed
	}
	m.r.members[m] = struct{}{}
	return nil
}

// keep renews the lease until the membership ends.
func (m *membership) keep() {
	defer m.forget()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var warned warnings
	for {
		m.mu.Lock()
		timer.Reset(max(0, m.lease.next-now()))
		m.mu.Unlock()
		select {
		case <-timer.C:
		case <-m.lost:
			return
		case <-m.r.ctx.Done():
			return
		}
		err := m.renew()
		switch {
		case err != nil && warned.due(now()):
			m.r.settings.Log("the membership of host "+m.host+" could not be renewed", err)
		case err == nil && warned.over():
			m.r.settings.Log("the membership of host "+m.host+" is renewed again", nil)
		}
	}
}

func (m *membership) forget() {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	delete(m.r.members, m)
}

// glance is how often the guard looks at the clock, since timers stand still while the machine is suspended.
const glance = 500 * time.Millisecond

// guard ends the membership in time, whatever renewals do.
func (m *membership) guard() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.mu.Lock()
		left, expired := m.lease.loses()-now(), m.lease.expired(now())
		cause := m.failed
		m.mu.Unlock()
		if expired {
			if cause == nil {
				cause = fmt.Errorf("%w: it was not renewed in time, as this program or its machine stood still", fleet.ErrUnavailable)
			}
			m.end(cause)
			return
		}
		timer.Reset(max(time.Millisecond, min(left, glance)))
		select {
		case <-timer.C:
		case <-m.lost:
			return
		case <-m.r.ctx.Done():
			m.end(fleet.ErrClosed)
			return
		}
	}
}

// renew asks for one renewal, which counts if the registry also has all that this membership holds.
func (m *membership) renew() error {
	m.mu.Lock()
	patience, sent, floor := m.lease.patience(now()), now(), m.floor // other answers may come meanwhile, from later revisions
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(m.r.ctx, patience)
	defer cancel()
	alive, err := m.r.client.KeepAliveOnce(ctx, m.id)
	var resp *clientv3.TxnResponse
	for released := -1; err == nil && released != m.releases(); {
		released = m.releases() // a name that goes meanwhile is not missed
		if resp, err = m.r.client.Txn(ctx).If(m.compares()...).Commit(); err == nil && resp.Succeeded {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil && temporary(err):
		m.lease.failed(now())
		m.failed = m.r.failure(m.r.ctx, "renewing", err)
		return m.failed
	case err == nil:
		err = m.unchanged(resp, floor)
	}
	if err != nil {
		m.endLocked(err)
		return err
	}
	m.failed = nil
	m.lease.renewed(sent, time.Duration(alive.TTL)*time.Second)
	return nil
}

// unchanged says why this is not the registry that the host has joined, or not one that had come to the revision floor. It is under the lock.
func (m *membership) unchanged(resp *clientv3.TxnResponse, floor int64) error {
	h := resp.Header
	const restored = "the registry was restored from an earlier state"
	switch {
	case h.ClusterId != m.cluster:
		return fmt.Errorf("it is another registry: etcd's cluster %x, and it was %x", h.ClusterId, m.cluster)
	case h.Revision < floor:
		return fmt.Errorf("%s: it is at revision %d, and was at %d", restored, h.Revision, floor)
	case !resp.Succeeded:
		return fmt.Errorf("%s, or somebody has removed its keys: names of this host are not there as it holds them", restored)
	}
	m.floor = max(m.floor, h.Revision)
	return nil
}

// note is for answers to other requests, whose revision no later answer may fall behind.
func (m *membership) note(h *pb.ResponseHeader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.ClusterId == m.cluster {
		m.floor = max(m.floor, h.Revision)
	}
}
