package host

import (
	"math/rand/v2"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// Defaults of a Spec's backoff.
const (
	DefaultBackoffInitial = 100 * time.Millisecond
	DefaultBackoffMax     = 10 * time.Second
	DefaultBackoffReset   = 30 * time.Second
)

// backoff counts the restarts of one place in a row.
type backoff struct {
	initial, max, reset time.Duration
	attempts            int
}

func newBackoff(c config.Backoff) backoff {
	return backoff{
		initial: orDefault(time.Duration(c.Initial), DefaultBackoffInitial),
		max:     orDefault(time.Duration(c.Max), DefaultBackoffMax),
		reset:   orDefault(time.Duration(c.Reset), DefaultBackoffReset),
	}
}

// next is the pause before the next restart of an actor that was up for so long.
// chance, from 0 to below 1, takes up to a quarter off, so that actors that have
// failed together do not all come back in the same instant.
func (b *backoff) next(wasUp time.Duration, chance float64) time.Duration {
	if wasUp >= b.reset {
		b.attempts = 0
	}
	pause := b.max
	if shift := b.attempts; shift < 32 && b.initial<<shift>>shift == b.initial {
		pause = min(b.max, b.initial<<shift)
	}
	b.attempts++
	return pause - time.Duration(chance*float64(pause)/4)
}

// chance is the jitter of one pause.
func chance() float64 { return rand.Float64() } //nolint:gosec // nothing depends on its being secret
