// Package logs lets code say something that it must not wait for: under a lock, on a
// link's reader, on the way of a teardown, or for a child that fills its output faster
// than anybody reads it.
//
//	log := logs.New(theirs)       // theirs is somebody else's *slog.Logger
//	log.Logger().Info("ready")    // returns at once
//	<-log.Idle()                  // theirs has it all
//
// A [Queue] does the work, for records and for anything else. It is bounded, and counts
// what it drops; its goroutine ends when the queue is empty.
package logs
