package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// mostPending is how many changes a watcher may be behind before it begins anew.
const mostPending = 1024

// Memory is what a registry keeps, in this process, for tests and for programs that are a fleet by themselves. Hosts reach it by
// a [Memory.Client] each. It keeps its promises as one on another machine does; [Memory.Cut] makes it unreachable. It has no goroutines.
type Memory struct {
	mu       sync.Mutex // guards the rest, memberships included; nobody is waited for, and no code of others runs under it
	revision uint64
	names    map[string]Entry
	members  map[string]*memoryMembership // by host
	watchers map[*memoryWatcher]struct{}
	cut      map[string]bool // hosts that do not reach it; "" stands for all
}

// memoryClient is a registry. Its fields are guarded by the memory's lock.
type memoryClient struct {
	*Memory
	settings Settings
	closed   bool
}

// Client is a registry of one host, or of several. Closing it ends their memberships, and leaves those of other clients.
// Of the settings it reads TTL and Margin.
func (m *Memory) Client(s Settings) Registry {
	return &memoryClient{Memory: m, settings: s.WithDefaults()}
}

// NewMemory is an empty registry.
func NewMemory() *Memory {
	return &Memory{
		names: map[string]Entry{}, members: map[string]*memoryMembership{},
		watchers: map[*memoryWatcher]struct{}{}, cut: map[string]bool{},
	}
}

// Cut makes the registry unreachable for a host, or reachable again: its memberships are not renewed meanwhile, and run out. The
// name "" stands for all hosts, and for Hosts, Find and Watch, which are nobody's.
func (m *Memory) Cut(host string, cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut[host] = cut
	for _, member := range m.members {
		member.renew()
	}
	m.wake()
}

// wake has all watchers look again.
func (m *Memory) wake() {
	for w := range m.watchers {
		w.ring()
	}
}

func (m *memoryClient) ready(ctx context.Context, host string) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case m.closed:
		return ErrClosed
	case m.cut[""] || m.cut[host]:
		return ErrUnavailable
	}
	return nil
}

// Join implements [Registry].
func (m *memoryClient) Join(ctx context.Context, h Host) (Membership, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, h.Name); err != nil {
		return nil, err
	}
	if e, held := m.names[HostPrefix+h.Name]; held {
		return nil, &HeldError{e}
	}
	member := &memoryMembership{m: m, lost: make(chan struct{})}
	member.self = Member{h.Clone(), m.revision + 1}
	m.members[h.Name] = member
	m.put(HostPrefix+h.Name, member.self)
	return member, nil
}

// put has a name held from now on.
func (m *Memory) put(name string, holder Member) uint64 {
	m.revision++
	e := Entry{name, m.revision, holder}
	m.names[name] = e
	m.tell(Change{Held, e})
	return e.Epoch
}

func (m *Memory) remove(name string) {
	m.revision++
	m.tell(Change{Released, m.names[name]})
	delete(m.names, name)
}

func (m *Memory) tell(c Change) {
	for w := range m.watchers {
		w.add(c)
	}
}

// Hosts implements [Registry].
func (m *memoryClient) Hosts(ctx context.Context) ([]Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, ""); err != nil {
		return nil, err
	}
	all := make([]Member, 0, len(m.members))
	for _, e := range m.below(HostPrefix) {
		all = append(all, Member{e.Holder.Clone(), e.Epoch})
	}
	return all, nil
}

func (m *Memory) below(prefix string) (all []Entry) {
	for name, e := range m.names {
		if strings.HasPrefix(name, prefix) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Find implements [Registry].
func (m *memoryClient) Find(ctx context.Context, name string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, ""); err != nil {
		return Entry{}, err
	}
	e, held := m.names[name]
	if !held {
		return Entry{}, fmt.Errorf("%s: %w", name, ErrNotHeld)
	}
	e.Holder.Host = e.Holder.Clone()
	return e, nil
}

// Close implements [Registry].
func (m *memoryClient) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range slices.Collect(maps.Values(m.members)) {
		if member.m == m {
			member.end(ErrClosed)
			member.gone()
		}
	}
	m.closed = true
	m.wake()
	return nil
}

// memoryMembership is guarded by the registry's lock.
type memoryMembership struct {
	m           *memoryClient
	self        Member
	lost        chan struct{}
	err         error     // why it was lost
	until       time.Time // while it cannot be renewed
	losing, off *time.Timer
}

// renew begins to let the membership run out, or stops that.
func (s *memoryMembership) renew() {
	cut := s.m.cut[""] || s.m.cut[s.self.Name]
	switch {
	case cut && s.losing == nil:
		ttl := s.m.settings.TTL
		s.until = time.Now().Add(ttl)
		s.losing = time.AfterFunc(ttl-s.m.settings.Margin, s.locked(func() { s.end(ErrUnavailable) }))
		s.off = time.AfterFunc(ttl, s.locked(func() { s.end(ErrUnavailable); s.gone() }))
	case !cut && s.losing != nil && s.err == nil:
		s.losing.Stop()
		s.off.Stop()
		s.losing, s.off = nil, nil
	}
}

func (s *memoryMembership) locked(f func()) func() {
	return func() {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		if s.off != nil {
			f()
		}
	}
}

// end makes the membership lost, if it is not.
func (s *memoryMembership) end(cause error) {
	if s.err == nil {
		s.err = &LostError{s.self.Name, s.self.Epoch, cause}
		close(s.lost)
	}
}

// gone gives away all that the membership holds.
func (s *memoryMembership) gone() {
	if s.m.members[s.self.Name] != s {
		return
	}
	for _, e := range s.m.below("") {
		if e.Holder.Epoch == s.self.Epoch {
			s.m.remove(e.Name)
		}
	}
	delete(s.m.members, s.self.Name)
	if s.off != nil {
		s.losing.Stop()
		s.off.Stop()
	}
}

// ready is under the lock.
func (s *memoryMembership) ready(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	return s.m.ready(ctx, s.self.Name)
}

func (s *memoryMembership) Epoch() uint64 { return s.self.Epoch }

func (s *memoryMembership) Update(ctx context.Context, h Host) error {
	if err := h.Check(); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if h.Name != s.self.Name {
		return fmt.Errorf("a membership of host %s cannot become one of %s", s.self.Name, h.Name)
	}
	s.self.Host = h.Clone()
	s.m.revision++
	for _, e := range s.m.below("") {
		if e.Holder.Epoch == s.self.Epoch {
			e.Holder = s.self
			s.m.names[e.Name] = e
			s.m.tell(Change{Changed, e})
		}
	}
	return nil
}

func (s *memoryMembership) Hold(ctx context.Context, name string) (uint64, error) {
	if err := CheckHold(name); err != nil {
		return 0, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if e, held := s.m.names[name]; held {
		if e.Holder.Epoch != s.self.Epoch {
			return 0, &HeldError{e}
		}
		return e.Epoch, nil
	}
	holds := 0
	for _, e := range s.m.names {
		if e.Holder.Epoch == s.self.Epoch {
			holds++
		}
	}
	if holds > MostNames { // its own name is one
		return 0, TooManyNames(s.self.Name)
	}
	return s.m.put(name, s.self), nil
}

func (s *memoryMembership) Release(ctx context.Context, name string) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if err := cmp.Or(s.ready(ctx), CheckHold(name)); err != nil {
		return err
	}
	if s.m.names[name].Holder.Epoch == s.self.Epoch {
		s.m.remove(name)
	}
	return nil
}

func (s *memoryMembership) Until() time.Time {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.losing == nil {
		return time.Now().Add(s.m.settings.TTL)
	}
	return s.until
}

func (s *memoryMembership) Lost() <-chan struct{} { return s.lost }

func (s *memoryMembership) Err() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.err
}

func (s *memoryMembership) Leave(ctx context.Context) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.err != nil {
		return nil
	}
	err := s.ready(ctx)
	s.end(ErrLeft)
	if err == nil {
		s.gone()
	} else {
		s.m.cut[s.self.Name] = true
		s.renew()
	}
	return err
}

// memoryWatcher is what one Watch has not told yet.
type memoryWatcher struct {
	prefix  string
	pending []Change
	missed  bool
	bell    chan struct{} // holds one
}

func (w *memoryWatcher) ring() {
	select {
	case w.bell <- struct{}{}:
	default: // it will look
	}
}

func (w *memoryWatcher) add(c Change) {
	if !strings.HasPrefix(c.Name, w.prefix) || w.missed {
		return
	}
	if w.missed = len(w.pending) == mostPending; w.missed {
		w.pending = nil
	} else {
		c.Holder.Host = c.Holder.Clone()
		w.pending = append(w.pending, c)
	}
	w.ring()
}

// Watch implements [Registry].
func (m *memoryClient) Watch(ctx context.Context, prefix string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w := &memoryWatcher{prefix: prefix, missed: true, bell: make(chan struct{}, 1)}
		m.mu.Lock()
		m.watchers[w] = struct{}{}
		m.mu.Unlock()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.watchers, w)
		}()
		w.ring()
		for first := true; ; {
			select {
			case <-w.bell:
			case <-ctx.Done():
				yield(Change{}, context.Cause(ctx))
				return
			}
			changes, err := m.take(ctx, w, &first)
			for _, c := range changes {
				if !yield(c, nil) {
					return
				}
			}
			if err != nil && !errors.Is(err, ErrUnavailable) {
				yield(Change{}, err)
				return
			}
		}
	}
}

// take is what a watcher is told next; nothing while the registry is unreachable.
func (m *memoryClient) take(ctx context.Context, w *memoryWatcher, first *bool) (changes []Change, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, ""); err != nil {
		return nil, err
	}
	if !w.missed {
		changes, w.pending = w.pending, nil
		return changes, nil
	}
	if !*first {
		changes = append(changes, Change{Kind: Reset})
	}
	for _, e := range m.below(w.prefix) {
		e.Holder.Host = e.Holder.Clone()
		changes = append(changes, Change{Held, e})
	}
	*first, w.missed = false, false
	return append(changes, Change{Kind: Current}), nil
}
