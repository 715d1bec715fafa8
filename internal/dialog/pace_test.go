package dialog

import (
	"testing"
	"time"
)

// How many calls go before an endpoint runs in place, and what takes that away again.
func TestPace(t *testing.T) {
	const slow = time.Second
	after := func(left int32, calls int, took func(i int) time.Duration) int32 {
		for i := range calls {
			left = paced(left, took(i), false)
		}
		return left
	}
	quick := func(int) time.Duration { return 0 }
	for name, c := range map[string]struct {
		left    int32
		inPlace bool
	}{
		"31 fast calls":               {after(DefaultTrials, 31, quick), false},
		"32 fast calls":               {after(DefaultTrials, 32, quick), true},
		"a slow one among the first":  {after(DefaultTrials, 32, func(i int) time.Duration { return slow * time.Duration(i/31) }), false},
		"two slow ones after many":    {after(after(DefaultTrials, 1000, quick), 2, func(int) time.Duration { return slow }), true},
		"three slow ones after many":  {after(after(DefaultTrials, 1000, quick), 3, func(int) time.Duration { return slow }), false},
		"one in 50 slow":              {after(DefaultTrials, 10_000, func(i int) time.Duration { return slow * time.Duration(max(0, i%50-48)) }), true},
		"one in 20 slow":              {after(DefaultTrials, 10_000, func(i int) time.Duration { return slow * time.Duration(max(0, i%20-18)) }), false},
		"held up its reader":          {paced(-64, 0, true), false},
		"much later":                  {after(paced(-64, 0, true), penance, quick), true},
		"nearly so late":              {after(paced(-64, 0, true), penance-1, quick), false},
		"always slow, and then not":   {after(after(DefaultTrials, 10_000, func(int) time.Duration { return slow }), penance, quick), true},
		"always slow, and just not":   {after(after(DefaultTrials, 10_000, func(int) time.Duration { return slow }), penance-1, quick), false},
		"as slow as it may not be":    {after(DefaultTrials, 1000, func(int) time.Duration { return fast }), false},
		"nearly as slow as it may be": {after(DefaultTrials, 1000, func(int) time.Duration { return fast - 1 }), true},
	} {
		if got := c.left <= 0; got != c.inPlace {
			t.Errorf("%s: runs in place: %v, with %d left", name, got, c.left)
		}
	}
}
