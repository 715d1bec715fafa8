package process

import "github.com/seed-2ba35074/trellis/internal/task"

// own starts f on a goroutine of its own. Who waits: Process.reap for the two
// readers, everyone at Process.Done for Process.reap, Process.Flushed for the
// journal's writer. Nobody waits for forkLoop, the lifeline's watcher and the reaper, which
// live as long as the program.
func own(f func()) { task.Start(f) }
