package process

// own starts f on a goroutine of its own. It is the only go statement here.
// Who waits: Process.reap for the two readers, everyone at Process.Done for
// Process.reap, Process.Flushed for the journal's writer. Nobody waits for
// forkLoop and the lifeline's watcher, which live as long as the program.
func own(f func()) {
	go f()
}
