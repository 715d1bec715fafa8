package directory

import (
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Bounds of what an actor may say of those below it. A message that says it has a bound of
// its own (internal/report).
const (
	mostUUID      = 256  // bytes
	mostText      = 1024 // bytes of a reason, and of the name of an endpoint
	mostWord      = 32   // bytes of what has few values: a step, and the kind of an endpoint
	mostEndpoints = 256
)

// bound cuts what an actor says of one below it, so that whoever passes it on has room for it.
// What is kept shares no memory with what is left out. A time that nobody can have meant is
// now.
func (e *Event) bound(now time.Time) {
	if e.Time.After(now) || e.Time.Unix() < 0 {
		e.Time = now
	}
	e.Refused = words.Clip(e.Refused, mostText)
	e.Reason, e.Stuck, e.Step = words.Clip(e.Reason, mostText), words.Clip(e.Stuck, mostText), words.Clip(e.Step, mostWord)
	e.Endpoints = slices.DeleteFunc(slices.Clone(e.Endpoints[:min(len(e.Endpoints), mostEndpoints)]), func(p Endpoint) bool {
		return len(p.Name) > mostText || len(p.Kind) > mostWord
	})
}
