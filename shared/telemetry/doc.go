// Package telemetry reads what the actors of a tree have to say about
// themselves: what they log and print, and what becomes of them, in one order,
// kept by the host at the root of the tree.
//
//	for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Actor: "census", Follow: true}) {
//		…
//	}
//
// A plugin sets nothing up for that, and needs no network: it logs with
// log/slog or hclog, or prints. Its host reads that, and hands on what comes
// from actors that it hosts itself; the root keeps the last records of all of
// them. In the same way it reads what they do, the spans of their calls,
// starts and ends, if the root was told to keep some (WatchSpans). Whoever is
// too slow loses the oldest, and is told how many: an actor that says more
// than its host takes, and a loop that is slower than the actors. Nothing
// waits for a reader.
//
// Measure reads what actors do, in numbers: how many calls have ended and how
// long they took, what waits for whom, what their processes use. Actors count
// that anyway, and nobody is asked for it, or sends anything, until somebody
// measures:
//
//	all, err := telemetry.Measure(ctx)
//	for _, m := range all {
//		fmt.Println(m.Actor, m.State, m.Process.RSS, m.Held)
//	}
//
// A rate is the difference of two measurements of one process, divided by the
// time between them; an actor that was started again has another ID, and
// begins at 0.
//
// The ctx is that of a nursery's body in the program at the root, or of the
// body of host.Join.
package telemetry
