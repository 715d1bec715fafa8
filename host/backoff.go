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

// backoff is the pause before a restart, and the run that makes a restart the first one again.
type backoff struct{ initial, max, stable time.Duration }

func newBackoff(c config.Backoff) backoff {
	return backoff{
		initial: orDefault(time.Duration(c.Initial), DefaultBackoffInitial),
		max:     orDefault(time.Duration(c.Max), DefaultBackoffMax),
		stable:  orDefault(time.Duration(c.Reset), DefaultBackoffReset),
	}
}

// pause is the pause before the restart that is the nth without a stable run in between. chance,
// from 0 to below 1, takes up to a quarter off, so that actors that have failed together do not
// all come back in the same instant.
func (b backoff) pause(nth int, chance float64) time.Duration {
	pause := b.max
	if shift := nth - 1; shift < 32 && b.initial<<shift>>shift == b.initial {
		pause = min(b.max, b.initial<<shift)
	}
	return pause - time.Duration(chance*float64(pause)/4)
}

// chance is the jitter of one pause.
func chance() float64 { return rand.Float64() } //nolint:gosec // nothing depends on its being secret
