// Package otlp is OpenTelemetry's protocol, out of a tree and into it: what actors log and print, their spans and their
// numbers go to a collector, and foreign programs, which speak that protocol themselves, are heard like every other actor.
//
//	settings := config.Telemetry{OTLP: config.OTLP{Endpoint: "http://localhost:4317", Receive: true}}
//	err := otlp.Run(ctx, settings, func(ctx context.Context) error {
//		return host.OpenTree(ctx, host.Options{}, otlp.Equip(ctx, actors), body)
//	})
//
// It is for the program at the root of a tree. Packages host and sdk import nothing of it, so that neither a host that
// does without nor any plugin carries it. docs/telemetry.md says what a collector gets.
//
// # How it works inside
//
// The records of the tree, which the root keeps anyway, are the queue: a loop over them follows, and is as slow as
// the collector. So while that is down nothing waits but the loop, and what comes too late
// for it is what the root does not keep any more, and is counted. What leaves is made by hand from the messages of the
// protocol, and not with OpenTelemetry's SDK (numbers are read by a loop of their own, once in a while, and do not wait): there, a process speaks for itself, and here, one
// speaks for all actors of its tree, each of which is a resource of its own.
package otlp
