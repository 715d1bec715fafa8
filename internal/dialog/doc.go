// Package dialog is the linked pair of tasks that a context is made of: its state
// machine, the stream between the two, and the table of all dialogs on a link. It
// is machinery of this project and promises no stable API; programs use contract,
// host and sdk.
//
// # What there is
//
// A [Table] is one actor's end of a link: all dialogs that either side has opened over it.
// A [Dialog] is one side of one of them. The opener's task is the function that is given to
// [Dialog.Scope], or the caller of [Table.Call]; the callee's is a [Task], which the table
// runs. A [Stream] is one side's end of the messages between the two.
//
// # The life of a dialog
//
//	table := dialog.NewTable(link, dialog.Config{Accept: find}) // starts the link
//
//	// The opener:
//	d, err := table.Open(ctx, &dialog.Request{Endpoint: "chat", Kind: dialog.Context})
//	...
//	err = d.Scope(func(ctx context.Context, d *dialog.Dialog) error { // begins with the callee's Started
//		s, err := d.OpenStream(dialog.StreamOptions{})
//		...
//		return nil // or d.Cancel(ctx, "enough"); Scope returns when the callee has ended
//	})
//
//	// The callee, which find has returned for the Start of "chat":
//	func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
//		if err := d.Started(nil); err != nil {
//			return nil, err
//		}
//		...
//		<-ctx.Done() // told to end, with the reason as cause
//		return value, nil
//	}
//
//	table.Refuse(why)      // no new dialogs
//	table.CancelTasks(why) // those that the peer has opened here
//	table.Wait()
//	table.Lose(why)        // the link is gone: so is every dialog
//	table.Close()
//
// # How it works
//
// All that can happen to one side is an [Event], all that may be done about it an [Action].
// [Step] is the pure function between them, and the whole protocol of one side; the accounts
// of credit (inflow, outflow) are as pure. A Dialog is a guarded table around them: its
// method apply changes it under its lock, queues frames and wakes whoever waits. Events come
// from the link's reader (frame.go) and from the tasks (dialog.go, open.go, stream.go).
//
// A dialog ends on one side in three steps. The task is told to end (a cause is recorded and its
// ctx cancelled), the task returns, and the other side's ending is in. The callee's last frame
// is Return or Error; the opener stays until it has that, or until the link is lost or its own
// patience is over. Then the table forgets the dialog, and what still comes for it is late.
//
// A frame that a task waits for is not handed to it. The reader changes the dialog and closes a
// channel, if somebody waits on one; whoever wakes looks again under the lock. So nothing is
// lost when a wait ends for another reason at the same moment.
//
// The lock of a dialog comes before its table's, and that before the link's. Nobody else's
// code runs under any of them, nor on the reader: errors are packed before, judged by whoever
// looks (ending.go), and a ctx is cancelled by a goroutine of its own. The one exception is the
// handler of a Func that is known to be fast. Should it be slow this once, somebody else is
// the reader before that is noticed (inplace.go).
//
// A callee's ctx is its dialog (context.go). What can be cancelled is made of it when somebody wants to know
// of its end, since most calls are over before anybody does. It derives from a root that the table has below
// the base of its actor, so that no ctx of an author is asked when it is made or ends.
//
// A Func has no stream, and its dialogs none of what one needs (flows). Calls are what there is most of, and
// a third of what one took was its memory. The nil pointer is also what says so: whatever is done at the
// end of any dialog asks for it first.
//
// A task that waits may give its goroutine back (hibernate.go): it returns a [Hibernation], and whatever
// wakes those who wait starts a goroutine for the rest of it. It counts as running meanwhile.
//
// A dialog of two other actors may pass through here (relay.go). The table has it by its id as it
// has its own, and gives its frames to the table of the other link; a [Target] is whom one opens such
// a dialog with. To its ends it is a dialog as any other. What a relay knows of it is a value of its
// own (passage.go), and how many of them pass is divided among those who ask (shares.go).
//
// # What bounds it
//
// Everything that a peer can make this side keep has a bound (docs/bounds.md). Credit bounds
// the messages that wait for a task, a quota the windows of all tasks together, MostDialogs the tasks and their arguments, a turn and a sum
// the large answers that wait for the link (bounds.go), and mostStuck the tasks that have
// outlived their dialogs. What this side sends waits when the link is congested, and is never
// dropped for that.
//
// # Further pages
//
// Who fails with what, and in which words, is on the page docs/who-raises-what.md; the
// frames are described in docs/protocol.
package dialog
