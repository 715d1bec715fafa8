package fault

// What the tests of the rules look at, beside what a caller sees of them.

// Settle is the failure of a task that returned err and was told to end because of cause.
func Settle(err, cause error) error { return Ending{Body: err, Cause: cause}.Failure() }

// Echoes reports whether err says nothing but that cause, or a cancel, happened.
func Echoes(err, cause error) bool { return Ending{Body: err, Cause: cause}.parts().onlyTold() }

// Holds reports whether cause is somewhere in err.
func Holds(err, cause error) bool { return holds(err, cause) }

// Also is what failed in the clean-up after a remote failure.
func Also(err error) error { return Ending{Body: err}.Rest() }
