// Package lease is the right of a process to live whose owner is on another machine: for as
// long as the owner goes on to answer it, and not a moment longer.
//
// The holder asks its owner again and again ([Keep]). Each answer lets it live for one term
// from the moment at which it had asked. The owner notes when it has given its last answer
// ([Owner]): so it knows for certain when the holder is gone, without any word from it, and
// starts another one only then. Nothing of this depends on what two clocks say, but on
// that they go equally fast ([Margin]).
//
// In the process of the holder, in which nothing has begun yet:
//
//	lease.Keep(term, linkDone, ask, begin, end) // until the link has ended
//
// and in that of the owner:
//
//	o := lease.NewOwner(5*time.Second, nil)
//	given, err := o.Renew()   // for each request, before it is answered
//	gone := o.Expired(stop)   // waits until the holder is certainly gone
//
// A process that is stopped, or whose machine sleeps, does not run, and so could not end itself in time. On Linux the
// kernel does that, by a timer that sends SIGKILL and is moved on with each answer: it counts while the machine sleeps,
// and a process that is stopped dies of it, too.
package lease
