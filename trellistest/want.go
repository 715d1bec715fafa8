package trellistest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// WantError finds an error of the author's type in err, which may have come from another actor
// and be wrapped. Without one, it ends the test, with the whole tree of err.
func WantError[T error](t testing.TB, err error) T {
	t.Helper()
	found, ok := errors.AsType[T](err)
	if ok {
		return found
	}
	hint := ""
	if _, remote := errors.AsType[*fault.RemoteError](err); remote {
		hint = "\nan error from another actor keeps its type if both programs register it, with fault.Type or fault.Sentinel"
	}
	t.Fatalf("expected an error of type %v, and got %s%s", reflect.TypeFor[T](), tree(err), hint)
	return found
}

// WantCancelledBy ends the test unless err says that a task ended because the actor of that
// name has asked for it, for that reason; "" is any reason. In a handler the error is
// context.Cause(ctx); an opener that has cancelled its own context gets nil instead.
func WantCancelledBy(t testing.TB, err error, canceller, reason string) {
	t.Helper()
	because := ""
	if reason != "" {
		because = fmt.Sprintf(", because %q", reason)
	}
	cancelled, ok := errors.AsType[*fault.ContextCancelled](err)
	if !ok || cancelled.Canceller.Name != canceller || (reason != "" && cancelled.Reason != reason) {
		t.Fatalf("expected a task that %q has cancelled%s, and got %s", canceller, because, tree(err))
	}
}

// WantCredit ends the test unless n messages can be sent in one direction before a sender waits
// for its receiver; with 0 the next Send waits. It looks at the one context of the endpoint that
// is open; a source's messages come from the actor. What is under way is waited for, unless it is
// stalled. In a bubble the credit is then compared at once. In real time nobody knows what is still
// to come: there it passes as soon as the credit is right, and fails after 10 s.
func WantCredit(t testing.TB, a *Actor, e interface{ Name() string }, d Direction, n int) {
	t.Helper()
	table := a.parents
	if d == FromActor {
		table = a.life.Table()
	}
	var room []int
	right := func() bool {
		room = nil
		open, _ := table.List(math.MaxInt)
		for _, d := range open {
			if d.Endpoint == e.Name() && d.Kind != dialog.KindName(dialog.Func) {
				room = append(room, d.Credit)
			}
		}
		return len(room) == 1 && room[0] == n
	}
	if inBubble() {
		a.settle()
	} else {
		for begun := time.Now(); (!a.connection.lastDue().IsZero() || !right()) && time.Since(begun) < patience; {
			<-time.After(lookAgain)
		}
	}
	switch {
	case right():
	case len(room) == 1:
		t.Fatalf("%s: expected credit for %d more messages %v, and there is credit for %d", e.Name(), n, d, room[0])
	default:
		t.Fatalf("%s: expected one open context, and there are %d", e.Name(), len(room))
	}
}

// mostTrips bounds what settle waits for: an actor that sends again and again, as a source that
// ticks, always has something under way.
const mostTrips = 16

// settle waits, in a bubble, until everything waits and nothing is under way.
func (a *Actor) settle() {
	for range mostTrips {
		synctest.Wait()
		last := a.connection.lastDue()
		if last.IsZero() {
			return
		}
		<-time.After(time.Until(last))
	}
}

// tree is an error with all that it wraps, one a line, with the types.
func tree(err error) string {
	if err == nil {
		return "no error"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%T: %v", err, err)
	growTree(&b, err, "\n\t")
	return b.String()
}

func growTree(b *strings.Builder, err error, indent string) {
	var below []error
	switch err := err.(type) { //nolint:errorlint // level by level
	case interface{ Unwrap() error }:
		below = []error{err.Unwrap()}
	case interface{ Unwrap() []error }:
		below = err.Unwrap()
	}
	for _, e := range below {
		if e != nil {
			fmt.Fprintf(b, "%s%T: %v", indent, e, e)
			growTree(b, e, indent+"\t")
		}
	}
}
