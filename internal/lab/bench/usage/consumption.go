// Package usage tells what a process has, and when its contexts ended: what both sides
// of a measurement must know of themselves.
package usage

import "runtime"

// Consumption is what a process has, garbage collected.
type Consumption struct {
	Memory      uint64 // heap in use and stacks, in bytes
	Allocations uint64 // since it began
}

// Own is what this process has.
func Own() Consumption {
	used := collected()
	for range mostCollections { // what sync.Pools keep survives one, what cleanups hold as many as those are deep
		next := collected()
		if used.Memory <= next.Memory+next.Memory/100 {
			return next
		}
		used = next
	}
	return used
}

const mostCollections = 10

func collected() Consumption {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Consumption{Memory: m.HeapAlloc + m.StackInuse, Allocations: m.Mallocs}
}
