package bench

import "runtime"

// consumption is what a process has, garbage collected.
type consumption struct {
	memory      uint64 // heap in use and stacks, in bytes
	allocations uint64 // since it began
}

func ownConsumption() consumption {
	runtime.GC()
	runtime.GC() // what sync.Pools keep survives one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return consumption{memory: m.HeapAlloc + m.StackInuse, allocations: m.Mallocs}
}
