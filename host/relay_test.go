package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// journey says whom an actor is to call, and how.
type journey struct {
	Path  string   `json:"path"`
	Actor actor.ID `json:"actor"`
	Do    string   `json:"do"`
}

var (
	across = contract.Func[journey, string]("across")
	// holding has an actor exchange messages with another one, and says when it has begun to.
	holding = contract.Context[journey, none, none, none, none]("holding")
	// caller tells who has opened it, and waits for a message before it ends.
	caller = contract.Context[none, string, none, none, none]("caller")
)

func init() {
	role("relays", func() { sdk.Plugin{Endpoints: relayingEndpoints(), Hosts: host.Subtree}.Serve() })
}

func relayingEndpoints() []contract.Handler {
	return append(goodEndpoints(),
		across.Handle(func(ctx context.Context, j journey) (string, error) {
			return travel(ctx, route.From(ctx).To(j.Path, j.Actor), j.Do)
		}),
		holding.Handle(func(ctx context.Context, j journey, c *contract.Callee[none, none, none]) (n none, err error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return n, err
			}
			return n, exchange(ctx, route.From(ctx).To(j.Path, j.Actor), func() error { return s.Send(ctx, n) })
		}),
		caller.Handle(func(_ context.Context, n none, c *contract.Callee[string, none, none]) (none, error) {
			return n, c.Started(c.Peer().UUID)
		}))
}

// travel does one thing with an actor, however far it is.
func travel(ctx context.Context, p contract.Portal, do string) (text string, err error) {
	switch do {
	case "call":
		id, err := whoami.Call(ctx, p, none{})
		return id.UUID, err
	case "caller":
		_, err = caller.Open(ctx, p, none{}, func(_ context.Context, c *contract.Opener[string, none, none, none]) error {
			text = c.Value()
			return nil
		})
	case "fail":
		return fail.Call(ctx, p, "deep")
	case "mismatch":
		_, err = contract.Func[int, string]("echo").Call(ctx, p, 1)
	case "stream":
		return streams(ctx, p)
	case "cancel":
		_, err = forever.Open(ctx, p, none{}, func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
			return c.Cancel(ctx, "enough")
		})
	case "deadline":
		ctx, stop := context.WithTimeout(ctx, 50*time.Millisecond)
		defer stop()
		_, err = forever.Open(ctx, p, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}
	return text, err
}

// exchange sends and receives messages until something ends that, and calls begun when some have come.
func exchange(ctx context.Context, p contract.Portal, begun func() error) error {
	_, err := double.Open(ctx, p, "", func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for n := 0; ; n++ {
			if err := s.Send(ctx, n); err != nil {
				return err
			}
			if _, err := s.Recv(ctx); err != nil {
				return err
			}
			if n != 10 {
				continue
			}
			if err := begun(); err != nil {
				return err
			}
		}
	})
	return err
}

// streams sends numbers through a small window and gets twice as much of each back.
func streams(ctx context.Context, p contract.Portal) (text string, err error) {
	const n = 300
	small := double.With(contract.ContextOptions{StreamOptions: contract.StreamOptions{Window: contract.Window{Messages: 2, Most: 2}}})
	sum, err := small.Open(ctx, p, "", func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		c.Go(func(ctx context.Context) error {
			for i := range n {
				if err := s.Send(ctx, i); err != nil {
					return err
				}
			}
			s.CloseSend()
			return nil
		})
		next := 0
		for m, err := range s.All(ctx) {
			if err != nil || m != 2*next {
				return fmt.Errorf("M02: %d came, and 2 x %d was expected: %w", m, next, err)
			}
			next++
		}
		return nil
	})
	return strconv.Itoa(sum), err
}

// relaying is an actor that hosts others, and calls any.
func relaying(name string, hosted ...host.Spec) host.Spec {
	s := plug(name, "relays")
	s.Actors, s.Callers = hosted, []string{"tree"}
	return s
}

// family is a tree of three levels.
func family() []host.Spec {
	return []host.Spec{relaying("left", relaying("lower", relaying("leaf"))), relaying("right", relaying("twig"))}
}

var allOfFamily = []string{"left", "left/lower", "left/lower/leaf", "right", "right/twig"}

// grown runs a tree, in memory, until the body ends. all are those of family, ready.
func grown(t *testing.T, body func(ctx context.Context, p *trellistest.Programs, all map[string]*directory.Portal) error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		quiet := host.Options{Log: slog.New(slog.DiscardHandler)}
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "relays", Endpoints: relayingEndpoints(), Hosts: host.SubtreeWith(quiet)})
		err := host.OpenTree(programs.Context(), quiet, family(), func(ctx context.Context, _ *host.Tree) error {
			all, err := findAll(ctx, allOfFamily)
			if err != nil {
				return err
			}
			return body(ctx, programs, all)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func findAll(ctx context.Context, paths []string) (map[string]*directory.Portal, error) {
	all := map[string]*directory.Portal{}
	for _, path := range paths {
		p, err := directory.WaitFor(ctx, path)
		if err != nil {
			return nil, err
		}
		all[path] = p
	}
	return all, nil
}

// order is a call of across, in the actor from, towards the actor to; the root calls by itself.
func order(ctx context.Context, from, to *directory.Portal, do string) (string, error) {
	if from == nil {
		return travel(ctx, to, do)
	}
	return across.Call(ctx, from, journey{to.Entry.Path, to.Entry.Actor, do})
}

// Each actor of a tree calls each other one, and itself, as a parent calls its child.
func TestD05_AnyActorCallsAnyOther(t *testing.T) {
	parallel(t)
	grown(t, func(ctx context.Context, _ *trellistest.Programs, all map[string]*directory.Portal) error {
		for _, from := range append(allOfFamily, "") {
			for _, to := range allOfFamily {
				everything(t, ctx, from, to, all)
			}
		}
		return nil
	})
}

// everything is what one actor does with another one.
func everything(t *testing.T, ctx context.Context, from, to string, all map[string]*directory.Portal) { //nolint:revive // a test
	t.Helper()
	callee := all[to].Entry.Actor
	for do, want := range map[string]string{"call": callee.UUID, "stream": strconv.Itoa(300 * 299 / 2), "cancel": ""} {
		if got, err := order(ctx, all[from], all[to], do); got != want || err != nil {
			t.Errorf("D05: %q does %s with %q: %q, %v; want %q", from, do, to, got, err, want)
		}
	}
	if opener, err := order(ctx, all[from], all[to], "caller"); all[from] != nil && opener != all[from].Entry.Actor.UUID || err != nil {
		t.Errorf("D05: %q sees %s as its caller, which is %q; %v", to, opener, from, err)
	}
	_, err := order(ctx, all[from], all[to], "fail")
	remote, ok := errors.AsType[*fault.RemoteError](err)
	if !ok || !errors.Is(err, os.ErrNotExist) || !remote.Origin.Is(callee) {
		t.Errorf("E04: %q fails for %q with %v", to, from, err)
	}
	if _, err := order(ctx, all[from], all[to], "deadline"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("T01: %q has a deadline with %q: %v", from, to, err)
	}
	if _, err := order(ctx, all[from], all[to], "mismatch"); !errors.As(err, new(*fault.ContractError)) {
		t.Errorf("P05: %q has other types than %q: %v", from, to, err)
	}
}

// The path that an error has taken is in it: first who is next to its origin.
func TestE04_TheRelaysAreInTheError(t *testing.T) {
	grown(t, func(ctx context.Context, _ *trellistest.Programs, all map[string]*directory.Portal) error {
		_, err := order(ctx, nil, all["left/lower/leaf"], "fail")
		remote, ok := errors.AsType[*fault.RemoteError](err)
		if !ok {
			return err
		}
		want := []actor.ID{all["left/lower"].Entry.Actor, all["left"].Entry.Actor}
		if !slices.EqualFunc(remote.Relays, want, actor.ID.Is) {
			t.Errorf("E04: it came over %v; want %v", remote.Relays, want)
		}
		return nil
	})
}

// A portal that was found is never another process, however far it is.
func TestD03_AFoundProcessThatIsGone(t *testing.T) {
	grown(t, func(ctx context.Context, _ *trellistest.Programs, all map[string]*directory.Portal) error {
		leaf := all["left/lower/leaf"]
		other := *leaf
		other.Entry.Actor = actor.NewID("leaf")
		for _, from := range []string{"left", "left/lower", "right/twig"} {
			if _, err := order(ctx, all[from], &other, "call"); !errors.Is(err, directory.ErrStale) {
				t.Errorf("D03: %q calls another process at that path: %v", from, err)
			}
			other := *leaf
			other.Entry.Path = "left/lower/nobody"
			if _, err := order(ctx, all[from], &other, "call"); !errors.Is(err, directory.ErrStale) {
				t.Errorf("D03: %q calls nobody: %v", from, err)
			}
			other.Entry.Path, other.Entry.Actor = "nowhere/at/all", actor.ID{}
			if _, err := order(ctx, all[from], &other, "call"); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("D03: %q calls nobody: %v", from, err)
			}
		}
		return nil
	})
}
