// Package task holds the project's only go statements. A goroutine is always started by a
// [Group] or as a [Worker], so that whoever owns one of those can wait for it.
//
//	var tasks task.Group            // its owner closes it
//	started := tasks.Go(work)       // false once the group has been closed
//	<-tasks.Idle()                  // a moment at which nothing runs
//	tasks.Close()                   // refuses new work, and waits for what runs
//	tasks.Keep()                    // in one that returns: its work is not over, and goes on
//	tasks.Resume(rest)              // … here, in another goroutine
//
//	reader := task.Start(read)      // exactly one
//	reader.Wait()
//	err := task.Await(ctx, reader.Done())
//
// Neither cancels: a goroutine ends by what its function waits for, a ctx, a channel or a
// descriptor. A function that panics crashes the program, as in any goroutine; one that
// calls runtime.Goexit counts as returned.
package task
