package host

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Bounds of what is kept of those that were not let in (docs/bounds.md).
const (
	mostRefused = 256 // who, each with why
	mostWhy     = 256 // bytes
)

// refusals are those that came to a door last and were not let in, so that one that tries again and again, as an agent
// does, is told once for each reason. mu guards last.
type refusals struct {
	limit limiter

	mu   sync.Mutex
	last []refusal // the oldest first
}

// refusal is one for a reason, and how often it was not told since it was.
type refusal struct {
	who, why string
	more     int
}

// next takes note that somebody was refused, and reports whether it is told, and how many before it were not. Reasons that
// differ in numbers alone, such as times and ports, are one. Of those that are new only one is told in a second.
func (r *refusals) next(now time.Time, who, why string) (more int, tell bool) {
	why = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, words.Clip(why, mostWhy))
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.last, func(old refusal) bool { return old.who == who && old.why == why }); i >= 0 {
		r.last[i].more++
		return 0, false
	}
	if more, tell = r.limit.next(now); !tell {
		return 0, false // it is new again the next time
	}
	for i := range r.last {
		if r.last[i].who == who {
			more, r.last[i].more = more+r.last[i].more, 0
		}
	}
	if len(r.last) == mostRefused {
		r.last = slices.Delete(r.last, 0, 1)
	}
	r.last = append(r.last, refusal{who: who, why: why})
	return more, true
}

// forget is that somebody was let in, and says how many refusals before were not told.
func (r *refusals) forget(who string) (more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = slices.DeleteFunc(r.last, func(old refusal) bool {
		if old.who == who {
			more += old.more
		}
		return old.who == who
	})
	return more
}
