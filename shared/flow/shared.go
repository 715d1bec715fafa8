package flow

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Shared lets many tasks use one opened resource for each key: an actor, a
// context, a connection. The first user of a key opens it, the last one closes it
// and waits until it is closed; whoever comes while it is being closed waits, and
// opens it again.
//
// The resource belongs to all its users: that the first one gives up does not take
// it from the others.
type Shared[K comparable, V any] struct {
	// Open is a scope: it opens the resource, calls use with it, and closes it when
	// use has returned. Its ctx has the values of the first user's.
	Open func(ctx context.Context, key K, use func(ctx context.Context, value V) error) error

	mu      sync.Mutex
	entries map[K]*entry[V]
}

// entry is a resource from before it is opened until it is closed.
type entry[V any] struct {
	users  int
	opened chan struct{} // value and ctx are set, or it is closed
	unused chan struct{} // the last user has left
	closed chan struct{} // Open has returned
	cancel context.CancelCauseFunc

	ctx   context.Context // of the resource: ends when it fails
	value V
	err   error // what Open returned; set before closed
}

var errNotUsed = errors.New("the Open of a Shared has returned nil before the resource was used: it must call use")

var errUnused = errors.New("nobody uses the shared resource any more")

// Use runs f with the resource of a key. f's ctx ends with the resource, with its
// failure as cause. Use returns what f failed with or what the resource did; the
// last user also gets what closing it failed with.
func (s *Shared[K, V]) Use(ctx context.Context, key K, f func(ctx context.Context, value V) error) error {
	for {
		e, closing := s.enter(ctx, key)
		if !closing {
			return s.use(ctx, e, f)
		}
		if err := task.Await(ctx, e.closed); err != nil {
			return err
		}
	}
}

// enter counts a user, unless the resource is just being closed.
func (s *Shared[K, V]) enter(ctx context.Context, key K) (e *entry[V], closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e = s.entries[key]
	if e != nil && e.users == 0 {
		return e, true
	}
	if e == nil {
		e = s.begin(ctx, key)
	}
	e.users++
	return e, false
}

// begin opens the resource, in a goroutine that its last user waits for.
func (s *Shared[K, V]) begin(ctx context.Context, key K) *entry[V] {
	e := &entry[V]{opened: make(chan struct{}), unused: make(chan struct{}), closed: make(chan struct{})}
	ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if s.entries == nil {
		s.entries = map[K]*entry[V]{}
	}
	s.entries[key] = e
	task.Start(func() {
		panics.Attempt(func() error { return s.Open(ctx, key, e.serve) }, func(err error) {
			e.err = err
			e.cancel(err)
			s.forget(key, e)
			close(e.closed)
		})
	})
	return e
}

// forget makes room for the next opening of the key.
func (s *Shared[K, V]) forget(key K, e *entry[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key] == e {
		delete(s.entries, key)
	}
}

// serve is the resource's own scope function: it lasts until nobody uses it.
func (e *entry[V]) serve(ctx context.Context, value V) error {
	e.ctx, e.value = ctx, value
	close(e.opened)
	return task.Await(ctx, e.unused)
}

func (s *Shared[K, V]) use(ctx context.Context, e *entry[V], f func(ctx context.Context, value V) error) (err error) {
	defer func() { panics.Rethrow(err) }()
	exited, opened := true, true
	defer func() { // f called runtime.Goexit
		if exited && s.leave(e) {
			<-e.closed
		}
	}()
	select {
	case <-e.opened:
		err = e.run(ctx, f)
	case <-e.closed:
		opened = false
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	exited = false
	last := s.leave(e)
	if !last && opened {
		return err
	}
	<-e.closed
	if !opened && e.err == nil {
		return errNotUsed
	}
	return fault.Ending{Body: err, Others: []error{e.failure()}}.Verdict()
}

// run runs a user's function with a ctx that ends with its own and the resource's.
func (e *entry[V]) run(ctx context.Context, f func(ctx context.Context, value V) error) error {
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.ctx, func() { cancel(context.Cause(e.ctx)) })()
	err := panics.Catch(func() error { return f(both, e.value) })
	if ctx.Err() == nil && e.ctx.Err() != nil {
		return fault.EndingOf(e.ctx, err).Failure()
	}
	return err
}

// leave takes a user away and reports whether it was the last one; the resource is
// then closed, or not opened any further.
func (s *Shared[K, V]) leave(e *entry[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.users--
	if e.users > 0 {
		return false
	}
	close(e.unused)
	if !task.Closed(e.opened) {
		e.cancel(errUnused)
	}
	return true
}

// failure is what the resource failed with, once it is closed. That it was given
// up while nobody used it is none.
func (e *entry[V]) failure() error {
	if errors.Is(e.err, errUnused) {
		return nil
	}
	return e.err
}
