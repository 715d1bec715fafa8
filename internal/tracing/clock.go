package tracing

import (
	"sync/atomic"
	"time"
)

// Started is when this program began. What has passed since is read twice as fast as the time of day.
var Started = time.Now()

// reading is the time of day, in nanoseconds since 1970, at a moment since Started.
type reading struct {
	at   time.Duration
	wall int64
}

var last atomic.Pointer[reading]

// fresh is for how long a reading is used: so much later spans follow a clock that was set, or a machine that has slept.
const fresh = 10 * time.Millisecond

// wall is the time of day at a moment, which is now or a moment ago.
func wall(at time.Duration) int64 {
	r := last.Load()
	if r == nil || (at-r.at).Abs() > fresh {
		now := time.Now()
		r = &reading{now.Sub(Started), now.UnixNano()}
		last.Store(r)
	}
	return r.wall + int64(at-r.at)
}
