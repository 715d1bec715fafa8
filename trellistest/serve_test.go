package trellistest_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var (
	greet = contract.Func[string, string]("greet")
	ask   = contract.Func[string, string]("ask") // of the parent
)

func hello(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }

func TestServe(t *testing.T) {
	greeter := trellistest.Serve(t, greet.Handle(hello))
	if text, err := greet.Call(t.Context(), greeter, "Ada"); err != nil || text != "Hello, Ada!" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAHandlerKnowsItselfItsParentAndWhatCameWithTheCall(t *testing.T) {
	greeter := trellistest.Plugin{
		Name: "greeter",
		Endpoints: []contract.Handler{greet.Handle(func(ctx context.Context, _ string) (string, error) {
			name, err := ask.Call(ctx, sdk.Parent(ctx), "who is it?")
			return contract.MetadataFrom(ctx)["tenant"] + ": " + sdk.Self(ctx).Name + " has heard of " + name, err
		})},
		Parent: []contract.Handler{ask.Handle(func(ctx context.Context, _ string) (string, error) {
			return contract.MetadataFrom(ctx)["tenant"] + "'s Ada", nil
		})},
	}.Serve(t)
	ctx := contract.WithMetadata(t.Context(), contract.Metadata{"tenant": "acme"})
	text, err := greet.Call(ctx, greeter, "")
	if want := "acme: greeter has heard of acme's Ada"; err != nil || text != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if greeter.ID().Name != "greeter" {
		t.Errorf("%v", greeter.ID())
	}
}

func TestEndpointsThatCannotBeServed(t *testing.T) {
	twice := []contract.Handler{greet.Handle(hello), greet.Handle(hello)}
	wantOne(t, record(func(t testing.TB) { trellistest.Serve(t, twice...) }), `"greet" is served twice`)
	wantOne(t, record(func(t testing.TB) { trellistest.Plugin{Parent: twice}.Serve(t) }), "the parent's endpoints", `"greet" is served twice`)
}

// What a handler starts with a go statement and leaves behind is named with its stack.
func TestAGoroutineThatOutlivesItsActor(t *testing.T) {
	for name, run := range modes {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				problems := record(func(t testing.TB) {
					greeter := trellistest.Serve(t, greet.Handle(func(ctx context.Context, name string) (string, error) {
						go forget(release)
						return hello(ctx, name)
					}))
					if _, err := greet.Call(t.Context(), greeter, "Ada"); err != nil {
						t.Errorf("%v", err)
					}
				})
				wantOne(t, problems, "goroutines that its code has started are left", "1 goroutine(s)", "trellistest_test.forget")
			})
		})
	}
}

// modes are real time and a bubble.
var modes = map[string]func(*testing.T, func(*testing.T)){
	"real": func(t *testing.T, f func(*testing.T)) { f(t) }, "bubble": synctest.Test,
}

func forget(release chan struct{}) { <-release }

// Exit hooks may end what handlers have started, as in a process.
func TestExitHooksRunInTheirActorAtItsEnd(t *testing.T) {
	for name, run := range modes {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				var first, second atomic.Int32
				problems := record(func(t testing.TB) {
					for _, calls := range []*atomic.Int32{&first, &second} {
						greeter := trellistest.Serve(t, greet.Handle(func(ctx context.Context, name string) (string, error) {
							stop := make(chan struct{})
							go forget(stop)
							sdk.OnExit(func() {
								calls.Add(1)
								close(stop)
							})
							return hello(ctx, name)
						}))
						if _, err := greet.Call(t.Context(), greeter, "Ada"); err != nil {
							t.Errorf("%v", err)
						}
					}
					if first.Load()+second.Load() != 0 {
						t.Errorf("hooks have run before the end")
					}
				})
				if len(problems) != 0 || first.Load() != 1 || second.Load() != 1 {
					t.Errorf("%d and %d hooks, %q", first.Load(), second.Load(), problems)
				}
			})
		})
	}
}

func TestAnExitHookThatPanics(t *testing.T) {
	wantOne(t, record(func(t testing.TB) {
		greeter := trellistest.Serve(t, greet.Handle(func(context.Context, string) (string, error) {
			sdk.OnExit(func() { panic("the database is gone") })
			return "", nil
		}))
		if _, err := greet.Call(t.Context(), greeter, "Ada"); err != nil {
			t.Errorf("%v", err)
		}
	}), "an exit hook has failed", "the database is gone")
}

func TestAHandlerThatIgnoresItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, begun := make(chan struct{}), make(chan struct{})
		problems := record(func(t testing.TB) {
			greeter := trellistest.Serve(t, greet.Handle(func(context.Context, string) (string, error) {
				close(begun)
				<-release
				return "", nil
			}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = greet.Call(ctx, greeter, "Ada") }() // it fails when the actor is cut off
			<-begun
			cancel()
		})
		close(release)
		if len(problems) != 2 {
			t.Fatalf("%q", problems)
		}
		wantOne(t, problems[:1], "contexts are open when the test ends: greet")
		wantOne(t, problems[1:], "it has not ended 10s after it was told to", "handlers that do not look at their ctx have: greet not", "TestAHandlerThatIgnoresItsEnd")
	})
}

// An actor that ends because its test does tells its handlers who ended it, as a host does.
func TestTheEndOfTheTestIsTheCause(t *testing.T) {
	begun, cause := make(chan struct{}), make(chan error, 1)
	problems := record(func(t testing.TB) {
		greeter := trellistest.Serve(t, greet.Handle(func(ctx context.Context, _ string) (string, error) {
			close(begun)
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return "", ctx.Err()
		}))
		go func() { _, _ = greet.Call(t.Context(), greeter, "Ada") }()
		<-begun
	})
	wantOne(t, problems, "contexts are open when the test ends: greet")
	cancelled, ok := errors.AsType[*fault.ContextCancelled](<-cause)
	if !ok || cancelled.Canceller.Name != "test" || cancelled.Reason != "its test has ended" {
		t.Errorf("%v", cancelled)
	}
}

// A handler that keeps what it has borrowed finds something else there, in a test at the latest.
func TestBorrowedMessagesThatAreKeptAreNoticed(t *testing.T) {
	longest := contract.Context[none, none, []byte, none, []byte]("longest")
	for name, keep := range map[string]struct {
		keep func([]byte) []byte
		want string
	}{
		"kept": {func(m []byte) []byte { return m }, "\xDB\xDB\xDB\xDB\xDB"}, "copied": {bytes.Clone, "plums"},
	} {
		actor := trellistest.Serve(t, longest.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, []byte, none]) (found []byte, err error) {
			if err := c.Started(none{}); err != nil {
				return nil, err
			}
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return nil, err
			}
			for m, err := range s.Borrow(ctx) {
				if err != nil {
					return nil, err
				}
				if len(m) > len(found) {
					found = keep.keep(m)
				}
			}
			return found, nil
		}))
		got, err := longest.Open(t.Context(), actor, none{}, func(ctx context.Context, c *contract.Opener[none, []byte, none, []byte]) error {
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			defer s.CloseSend()
			return errors.Join(s.Send(ctx, []byte("fig")), s.Send(ctx, []byte("plums")), s.Send(ctx, []byte("pear")))
		})
		if err != nil || string(got) != keep.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, keep.want)
		}
	}
}
