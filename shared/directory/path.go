package directory

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Bounds of what an actor may say of those below it. A message that says it has a bound of
// its own (internal/report).
const (
	mostPath      = 4096 // bytes
	mostUUID      = 256  // bytes
	mostText      = 1024 // bytes of a reason, and of the name of an endpoint
	mostWord      = 32   // bytes of what has few values: a step, and the kind of an endpoint
	mostEndpoints = 256
)

// bound cuts what an actor says of one below it, so that whoever passes it on has room for it. What is kept
// shares no memory with what is left out. A time that nobody can have meant is now.
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

// pathForm is the form of a path: names as configs have them, and numbers of those that share
// one.
var pathForm = regexp.MustCompile(`^[a-z0-9_-]{1,63}(#[0-9]{1,9})?(/[a-z0-9_-]{1,63}(#[0-9]{1,9})?)*$`)

func validPath(path string) bool { return len(path) <= mostPath && pathForm.MatchString(path) }

// nameAt is the name of the actor at a path.
func nameAt(path string) string {
	name, _, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], "#")
	return name
}
