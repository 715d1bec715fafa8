package directory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// double is what the parsers of the examples serve, in the place of parsing.
var double = contract.Func[int, int]("double")

// exampleTree is a ctx as the body of a nursery has one that hosts so many parsers. In a program the host tells
// the events.
func exampleTree(n int) (ctx context.Context, end func()) {
	r := directory.NewMemory("", nil)
	ends := []func(){r.Finish}
	for range n {
		portal, stop := pair.MustStart(double.Handle(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))
		ends = append(ends, stop)
		place := r.Join("parser", func(directory.Entry) contract.Portal { return portal })
		process := actor.NewID("parser")
		place.Publish(directory.Event{Actor: process, To: directory.Waiting})
		place.Publish(directory.Event{Actor: process, Epoch: 1, Time: time.Now(), From: directory.Waiting, To: directory.Ready})
	}
	return directory.With(context.Background(), r), func() {
		for _, end := range ends {
			end()
		}
	}
}

// An actor is found by its name, or by its path, wherever in the tree it is. What was found is one process.
func ExampleFind() {
	ctx, end := exampleTree(2)
	defer end()

	p, err := directory.Find(ctx, "parser") // a portal to the one that became ready last
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := double.Call(ctx, p, 21) // as to any child
	fmt.Println(n, err, p.Entry.State)

	_, err = directory.Find(ctx, "walker")
	fmt.Println(err)
	// Output:
	// 42 <nil> ready
	// actor not found: "walker"; there are parser, parser#2
}

// WaitFor is for an actor that may not have been started yet.
func ExampleWaitFor() {
	ctx, end := exampleTree(1)
	defer end()

	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := directory.WaitFor(limited, "parser")
	if err != nil {
		fmt.Println(err) // the cause of limited, if there is none in time
		return
	}
	n, err := double.Call(ctx, p, 4)
	fmt.Println(n, err)
	// Output: 8 <nil>
}

// Query shows who is in the tree, in whatever state.
func ExampleQuery() {
	ctx, end := exampleTree(2)
	defer end()

	entries, err := directory.Query(ctx, "") // or a name, or a path
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.Path, e.State, e.Epoch)
	}
	// Output:
	// parser ready 1
	// parser#2 ready 1
}

// Watch begins with the actors that are ready, and goes on with what becomes of those of the name.
func ExampleWatch() {
	ctx, end := exampleTree(2)
	defer end()

	left := 2
	for e, err := range directory.Watch(ctx, "parser") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Path, e.To)
		if left--; left == 0 {
			break // it would go on until ctx ends
		}
	}
	// Output:
	// parser ready
	// parser#2 ready
}

// ByName is for whoever wants the name and not the process: it looks up anew for each call.
func ExampleByName() {
	ctx, end := exampleTree(1)
	defer end()

	p := directory.ByName(ctx, "parser")
	n, err := double.Call(ctx, p, 5)
	fmt.Println(n, err)
	// Output: 10 <nil>
}

// Spread gives each call to the one of many that has the fewest under way.
func ExampleSpread() {
	ctx, end := exampleTree(3)
	defer end()

	parsers := directory.Spread(ctx, "parser") // all parsers together
	n, err := double.Call(ctx, parsers, 6)     // any of them
	fmt.Println(n, err)
	mine := directory.ByKey(ctx, "parser", "Ann") // always the same one for a key, while it is ready
	n, err = double.Call(ctx, mine, 7)
	fmt.Println(n, err)
	// Output:
	// 12 <nil>
	// 14 <nil>
}

// A table follows from events alone, so that whoever has these has the tree.
func ExampleTable() {
	var t directory.Table
	parser, walker := actor.NewID("parser"), actor.NewID("walker")
	for _, e := range []directory.Event{
		{Path: "parser", Actor: parser, To: directory.Ready},
		{Path: "walker", Actor: walker, To: directory.Ready},
		{Path: "parser", Actor: parser, To: directory.Gone, Cause: directory.Finished},
	} {
		t.Apply(e)
	}
	for _, e := range t.Entries("") {
		fmt.Println(e.Path, e.State)
	}
	// Output: walker ready
}
