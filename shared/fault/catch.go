package fault

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrGoexit is what a task failed with that called runtime.Goexit, as a failing
// test does, and so neither returned nor panicked.
var ErrGoexit = errors.New("the task called runtime.Goexit")

// Catch runs an author's code and makes a panic an error, with its stack. It is
// used around endpoints and scope functions and nowhere else: a panic of this
// project's own code crashes the process, where its supervisor sees it.
func Catch(run func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *PanicError: // of a scope inside, with its stack
			err = p
		default:
			err = &PanicError{Value: clip(fmt.Sprint(p), maxText), Stack: string(debug.Stack())}
		}
	}()
	return run()
}

// Attempt is Catch for a task with a goroutine of its own. ended is told how it
// ended, also when it called runtime.Goexit, as a test does that fails.
func Attempt(run func() error, ended func(err error)) {
	err := ErrGoexit
	defer func() { ended(err) }()
	err = Catch(run)
}

// Rethrow lets a panic that Catch has caught go on.
func Rethrow(err error) {
	if p, ok := err.(*PanicError); ok {
		panic(p)
	}
}
