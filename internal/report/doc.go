// Package report carries the events of what an actor hosts to its own host: the child's life
// sends them, the host's incarnation of it receives them, over a dialog of their link.
//
//	err := report.Send(ctx, table, registry) // from its first child until the registry ends
//	err := report.Receive(ctx, d, member)    // as the task of wire.Events
//
// What the actors say themselves, their records, goes the same way in a dialog of its own
// (SendRecords, ReceiveRecords).
//
// The child opens the dialog, and only when it hosts something: an actor that hosts nothing
// costs nothing, and one that knows no events need not say so. Messages are data as others are,
// behind all control, in a small window, so that a host that is slow holds up none of them and
// the child loses the oldest ones instead ([directory.Registry]).
package report
