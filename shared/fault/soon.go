package fault

import (
	"reflect"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// patience is how long the methods of an author's error may take before whoever
// asks goes on without them.
const patience = time.Second

// silent stands for the text of an error that does not return from Error.
const silent = "an error whose text could not be had"

// Line is err's text, as Pack has it: for places that others wait for. An Error
// method that has not returned after a second is left to itself.
func Line(err error) string {
	if err == nil {
		return ""
	}
	return Ask(err, func() string { return text(err) }, func() string { return silent })
}

// Ask runs ask, which calls methods of err, and gives what it returns; or, if
// that takes too long, what otherwise returns. What is known not to wait for anybody
// is asked at once; the others in a goroutine of their own, which ends when they do.
//
// A method that never returns costs its goroutine, and nothing else: the channel has room for
// the answer, so that one which comes too late does not wait for a reader. If the answer and the
// end of the patience come together, the answer counts.
func Ask[T any](err error, ask, otherwise func() T) T {
	left := maxWalk
	if isPrompt(err, &left) {
		return ask()
	}
	answer := make(chan T, 1) // empty if a method called runtime.Goexit
	asking := task.Start(func() { answer <- ask() })
	task.ClosedWithin(asking.Done(), patience)
	select {
	case v := <-answer:
		return v
	default:
		return otherwise()
	}
}

// prompt are the packages whose errors have methods that return at once, if those of
// what they wrap do. They are nearly all errors that there are, and for these a goroutine and a
// timer would be most of the cost of packing them.
var prompt = map[string]bool{
	"errors": true, "fmt": true, "context": true, "io/fs": true, "syscall": true,
	reflect.TypeFor[RemoteError]().PkgPath(): true,
}

// isPrompt reports whether no method in the tree of err is an author's. It calls Unwrap only of
// types that it has recognised as prompt. left bounds the walk, as an error may wrap itself.
func isPrompt(err error, left *int) bool {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if *left--; *left < 0 || !prompt[t.PkgPath()] {
		return false
	}
	if _, remote := err.(*RemoteError); remote {
		return true // it is packed already
	}
	for _, cause := range unwrap(err) {
		if !isPrompt(cause, left) {
			return false
		}
	}
	return true
}
