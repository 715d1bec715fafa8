package bench

import (
	"os"
	"runtime"
	"time"
)

// othersWatch finds out how much of the machine other programs used: the numbers of a
// machine that is otherwise idle and of one that is kept awake differ.
type othersWatch struct {
	begun        time.Time
	machine, own time.Duration
}

func watchOthers() othersWatch {
	machine, own := machineAndOwn()
	return othersWatch{time.Now(), machine, own}
}

// share is what others used since the watch began, of all processors' time; 0 where the
// system does not tell. Every process that was started must have ended.
func (w othersWatch) share() float64 {
	machine, own := machineAndOwn()
	others := (machine - w.machine) - (own - w.own)
	return max(0, float64(others)/float64(time.Since(w.begun))/float64(runtime.NumCPU()))
}

// machineAndOwn is what all programs have used, and what this one and those have that it
// waited for.
func machineAndOwn() (machine, own time.Duration) {
	machine, err := machineTime()
	if err != nil {
		return 0, 0
	}
	here, err := processorTime(os.Getpid())
	if err != nil {
		return 0, 0
	}
	children, err := waitedFor()
	if err != nil {
		return 0, 0
	}
	return machine, here + children
}
