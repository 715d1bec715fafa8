package measure

import "time"

// Started is the first line of a driver's output, which is JSON.
type Started struct {
	Server int // pid of the process that answers its calls
}

// Order is a line of a driver's input, which is JSON. The answer is a [Found].
type Order struct {
	Callers int
	Size    int // of argument and result, in bytes
	Length  time.Duration
}
