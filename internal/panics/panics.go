// Package panics runs the code of endpoints and scopes, whose authors may panic: it makes
// an error of the panic, with its stack, and throws it again where the scope was called.
// A panic of this project's own code is not caught: it crashes the process, where its
// supervisor sees it.
package panics

import (
	"fmt"
	"runtime/debug"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// maxValue bounds what is kept of a panic's value, in bytes.
const maxValue = 32 << 10

// Catch runs an author's code. A panic in it is returned as a [*fault.PanicError]; one that
// a scope inside has thrown again stays the very same.
func Catch(run func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *fault.PanicError:
			err = p
		default:
			err = &fault.PanicError{Value: words.Clip(fmt.Sprint(p), maxValue), Stack: string(debug.Stack())}
		}
	}()
	return run()
}

// Attempt is Catch for a task with a goroutine of its own. It calls ended with how the task
// has ended; that is [fault.ErrGoexit] if it called runtime.Goexit, as a failing test does.
func Attempt(run func() error, ended func(err error)) {
	err := fault.ErrGoexit
	defer func() { ended(err) }()
	err = Catch(run)
}

// Isolate runs an author's code in a goroutine of its own and waits for it, so that not even runtime.Goexit in it
// ends the caller: it is a failure like any other. A panic is not caught, and the caller does not go on while the
// process dies of it.
//
// A panic runs what was deferred before the process dies, and so would tell whoever waits that the goroutine has ended.
func Isolate(run func() error) error {
	ended := make(chan error, 1)
	worker := task.Start(func() {
		err := fault.ErrGoexit
		defer func() {
			if p := recover(); p != nil {
				panic(p)
			}
			ended <- err
		}()
		err = run()
	})
	defer worker.Wait()
	return <-ended
}

// Rethrow panics again with what Catch has caught; any other error is left alone.
func Rethrow(err error) {
	if p, ok := err.(*fault.PanicError); ok { //nolint:errorlint // what wraps one was not thrown here
		panic(p)
	}
}
