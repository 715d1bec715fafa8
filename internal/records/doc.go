// Package records keeps the last records of a tree, or of what an actor hosts, for whoever
// reads them.
//
//	s := records.New("", 50_000, 0, nil)
//	s.Put(records.Of(time.Now(), slog.LevelInfo, "ready", attrs)) // never waits
//	for r, err := range s.Watch(ctx, telemetry.Filter{}) { … }
//	s.Finish()                                                   // ends the loops
//
// A reader is a number: the one of the last record that it was given. So nothing is kept for
// readers, of which one that is slow costs nobody anything, and a gap between two numbers is
// what it has missed.
//
// The same type is used at both ends of a link. At the root it is what people read. In an
// actor below, it holds what is still on its way to the actor's host, and its one reader is
// whoever sends that (package report): what the host does not take in time is lost there as
// anywhere else, the oldest first, and counted.
//
// A record may come from anybody. What it says is cut to what may be kept when it is put in,
// in one place, and so nobody who hands records on needs to look at them.
package records
