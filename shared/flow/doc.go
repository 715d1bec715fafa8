// Package flow combines contexts and streams of package contract. Of contexts and streams it uses
// only what contract exports, so a program can write combinators of its own in its place;
// neither host nor sdk imports it.
//
// # Lifecycle
//
// Each combinator is a scope, or belongs to one: what it has begun has ended when it
// returns, and a failure of a part is a failure of the whole.
//
// [OpenAll] opens many contexts as one group. Its body runs when all of them have started;
// when it returns, all have ended. A failure of one, or of the body, ends the others:
//
//	targets := []flow.Target[none]{{Portal: first}, {Portal: second}}
//	sums, err := flow.OpenAll(context.Background(), tally, targets, func(ctx context.Context, all []*tallyOpener) error {
//
// A [Broadcast] gives what one stream receives to many tasks. It belongs to the stream's
// context, and its subscribers are tasks of that context or of a scope around it. Each of
// them reads at a pace of its own; one that is too slow loses the oldest messages, and is
// told:
//
//	all := flow.NewBroadcast(lines)
//	screen, file := all.Subscribe(0), all.Subscribe(0) // before the first message is received
//
// A [Shared] gives one resource for each key to many users. The first one opens it, with a
// scope of the author's; the last one closes it, and returns when it is closed:
//
//	stores := flow.Shared[string, string]{Open: func(ctx context.Context, key string, use func(context.Context, string) error) error {
//		fmt.Println("opening", key)
//		defer fmt.Println("closed", key)
//		return use(ctx, "the store of "+key)
//	}}
//
// [Publish] serves what one producer has to many subscribers, each with topics of its own.
// The producer runs while there are subscribers, and begins anew for a later one:
//
//	for p, err := range weather.Stream(context.Background(), station, flow.Topics{Topics: []string{"wind"}}) {
//		if err != nil {
//			fmt.Println(err)
//			return
//		}
//		fmt.Println(p.Topic, p.Message)
//	}
//
// # What each party owes
//
// The functions that a program gives to a combinator look at their ctx, as those of a context do:
// the combinator waits for them. A panic in one goes on in whoever has called the combinator, and
// ends what it has begun. A subscriber is closed by whoever has subscribed.
package flow
