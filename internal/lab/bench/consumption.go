package bench

import "runtime"

// consumption is what a process has, garbage collected.
type consumption struct {
	memory      uint64 // heap in use and stacks, in bytes
	allocations uint64 // since it began
}

func ownConsumption() consumption {
	used := collected()
	for range mostCollections { // what sync.Pools keep survives one, what cleanups hold as many as those are deep
		next := collected()
		if used.memory <= next.memory+next.memory/100 {
			return next
		}
		used = next
	}
	return used
}

const mostCollections = 10

func collected() consumption {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return consumption{memory: m.HeapAlloc + m.StackInuse, allocations: m.Mallocs}
}
