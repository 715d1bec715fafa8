package usage

import (
	"context"
	"sync"
	"time"
)

// Moments says when each held context ended: to whoever asks, and once.
type Moments struct {
	mu sync.Mutex
	m  map[uint64]chan int64
}

func (s *Moments) at(id uint64) chan int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[uint64]chan int64{}
	}
	if s.m[id] == nil {
		s.m[id] = make(chan int64, 1)
	}
	return s.m[id]
}

// Note records that a context has been told to end. Id 0 is of no interest.
func (s *Moments) Note(id uint64) {
	if id != 0 {
		s.at(id) <- time.Now().UnixNano()
	}
}

// Take waits for the moment, in nanoseconds since 1970, and forgets it.
func (s *Moments) Take(ctx context.Context, id uint64) (int64, error) {
	select {
	case at := <-s.at(id):
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.m, id)
		return at, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Since is how long after begun a moment was.
func Since(begun time.Time, at int64) float64 { return float64(at - begun.UnixNano()) }
