package histogram

import (
	"slices"
	"sync/atomic"
	"time"
)

const (
	µs = time.Microsecond
	ms = time.Millisecond
)

// Bounds are the upper bounds of all buckets, the bound itself included, but
// of the last one, which has none.
var Bounds = [...]time.Duration{
	10 * µs, 25 * µs, 50 * µs, 100 * µs, 250 * µs, 500 * µs, 1 * ms, 2500 * µs, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
	time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second, time.Minute,
}

// Buckets is how many there are.
const Buckets = len(Bounds) + 1

// Histogram counts durations. The zero value has counted none. Its methods may
// be called from any goroutine.
type Histogram struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Int64
}

// Add counts a duration. Most are short: the first bounds are looked at first.
func (h *Histogram) Add(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Read gives how many durations there were in each bucket, without empty ones
// at the end, and their sum. It reads while others add, so that the sum may be
// that of a few more or fewer.
func (h *Histogram) Read() (counts []uint64, sum time.Duration) {
	counts = make([]uint64, Buckets)
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
	}
	return trimmed(counts), time.Duration(h.sum.Load())
}

func trimmed(counts []uint64) []uint64 {
	n := len(counts)
	for n > 0 && counts[n-1] == 0 {
		n--
	}
	return slices.Clip(counts[:n])
}

// Total is how many durations were counted.
func Total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Sum adds what two histograms have counted.
func Sum(a, b []uint64) []uint64 {
	all := make([]uint64, max(len(a), len(b)))
	copy(all, a)
	for i, n := range b {
		all[i] += n
	}
	return all
}

// Quantile is the duration below which so much of all is, as far as the bounds
// tell: within a bucket, as if durations were spread evenly. It is at most the
// last bound, and 0 if nothing was counted.
func Quantile(counts []uint64, q float64) time.Duration {
	all := Total(counts)
	if all == 0 {
		return 0
	}
	rank, below, from := q*float64(all), 0.0, time.Duration(0)
	for i, n := range counts[:min(len(counts), len(Bounds))] {
		if here := float64(n); here > 0 && below+here >= rank {
			return from + time.Duration(float64(Bounds[i]-from)*(rank-below)/here)
		}
		below, from = below+float64(n), Bounds[i]
	}
	return Bounds[len(Bounds)-1]
}
