package host_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ordered runs a tree of three levels that serves, and body in a program that has joined it when its leaf is ready.
func ordered(t *testing.T, body func(ctx context.Context) error) {
	t.Helper()
	tempdir.Use(t)
	leaf, lower, middle, parsers := spec(t, "leaf", "good"), spec(t, "lower", "hosting"), spec(t, "middle", "hosting"), spec(t, "parser", "good")
	leaf.Health.Interval, parsers.Replicas = config.Duration(time.Millisecond), 2
	lower.Actors = []host.Spec{leaf}
	middle.Actors = []host.Spec{lower, parsers}
	err := host.OpenTree(t.Context(), serving(), []host.Spec{middle, spec(t, "vault", "good")}, func(context.Context, *host.Tree) error {
		return join(t.Context(), "guest", func(ctx context.Context) error {
			if _, err := directory.WaitFor(ctx, "leaf"); err != nil {
				return err
			}
			return body(ctx)
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// give gives the host an order, as host cancel and others do.
func give(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	args, err := cbor.Marshal(r)
	if err != nil {
		return nil, err
	}
	t, err := life.Parent(ctx).Table(ctx)
	if err != nil {
		return nil, err
	}
	if r.Asks() {
		return t.AskRuntime(ctx, wire.Order, args)
	}
	return t.CallRuntime(ctx, wire.Order, args)
}

// D04: what a program that has joined orders is carried out by the host of the actor, however deep that is.
func TestD04_OrdersReachTheHostOfAnActor(t *testing.T) {
	ordered(t, func(ctx context.Context) error {
		leaf, err := asking(ctx).Actor(ctx, wire.OrderRequest{Name: "leaf", Do: wire.OrderDescribe})
		if err != nil {
			return err
		}
		serves := func(e inspect.Endpoint) bool { return e.Name == echo.Name() && e.Shape != "" }
		if leaf.Path != "middle/lower/leaf" || !slices.ContainsFunc(leaf.Endpoints, serves) {
			t.Errorf("D04: the leaf is %+v", leaf)
		}
		before, err := directory.Find(ctx, "leaf")
		if err != nil {
			return err
		}
		for _, r := range []wire.OrderRequest{{Name: "middle/lower/leaf", Do: wire.OrderRestart}, {Path: "middle/lower/leaf", Do: wire.OrderAwaitHealth}} {
			if _, err := give(ctx, r); err != nil {
				return err
			}
		}
		for e, err := range directory.Watch(ctx, "leaf") {
			if err != nil {
				return err
			}
			if e.To == directory.Ready && !e.Actor.Is(before.Entry.Actor) {
				break
			}
		}
		told := "no event"
		for e, err := range directory.From(ctx).Watch(ctx, "leaf") {
			if err != nil {
				return err
			}
			if e.Path == "" {
				if _, err := give(ctx, wire.OrderRequest{Name: "leaf", Do: wire.OrderCancel}); err != nil {
					return err
				}
			}
			if e.To == directory.Stopping && e.Step == "" {
				told = e.Reason
			}
			if e.To == directory.Gone {
				break
			}
		}
		if told != "cancelled by guest" {
			t.Errorf("D04: the leaf has ended because: %s", told)
		}
		return nil
	})
}

// D04: what cannot be carried out says why.
func TestD04_OrdersThatCannotBeCarriedOut(t *testing.T) {
	ordered(t, func(ctx context.Context) error {
		for _, test := range []struct {
			order wire.OrderRequest
			is    error
			text  string
		}{
			{wire.OrderRequest{Name: "valut", Do: wire.OrderDrain}, directory.ErrNotFound, `"valut"; there are guest, middle, middle/lower, middle/lower/leaf, middle/parser, middle/parser#2, vault; did you mean "vault"?`},
			{wire.OrderRequest{Name: "vault", Do: wire.OrderDrain}, nil, "vault is not an agent, and cannot be drained; no agent has joined"},
			{wire.OrderRequest{Path: "middle/lower/absent", Do: wire.OrderCancel}, directory.ErrNotFound, `"middle/lower/absent"`},
			{wire.OrderRequest{Path: "vault/below", Do: wire.OrderCancel}, directory.ErrNotFound, `"vault/below"`},
			{wire.OrderRequest{Name: "parser", Do: wire.OrderCancel}, nil, "there are 2 actors named \"parser\": middle/parser, middle/parser#2; say which"},
			{wire.OrderRequest{Name: "guest", Do: wire.OrderRestart}, nil, "guest has joined by itself"},
			{wire.OrderRequest{Name: "leaf", Do: "dance"}, nil, `expected cancel, restart, drain, scale, await-healthy, describe, look or dump, got "dance"`},
			{wire.OrderRequest{Do: wire.OrderCancel}, directory.ErrNotFound, `""`},
			{wire.OrderRequest{Path: "middle", Do: wire.OrderApply, Tree: []byte("{}"), Dry: true}, fault.ErrNotAllowed, "only a host orders apply"}, // O04
		} {
			_, err := give(ctx, test.order)
			if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("D04: %+v: %v; want %v and %q", test.order, err, test.is, test.text)
			}
		}
		// An actor takes orders from its own host alone.
		leaf, err := directory.Find(ctx, "leaf")
		if err != nil {
			return err
		}
		to, err := leaf.Table(ctx)
		if err != nil {
			return err
		}
		var none *fault.NotExposed
		if _, err := to.Call(ctx, &dialog.Request{Endpoint: wire.Order, Kind: dialog.Func, Codec: codecs.CBOR.Name()}); !errors.As(err, &none) && !errors.Is(err, fault.ErrNotAllowed) {
			t.Errorf("D06: an order from elsewhere: %v", err)
		}
		return nil
	})
}

// D04: a restart by a name is one of each replica, by a number of that one, and says how far it came.
func TestD04_RestartsOfReplicas(t *testing.T) {
	ordered(t, func(ctx context.Context) error {
		for _, path := range []string{"middle/parser#1", "middle/parser#2"} {
			if _, err := directory.WaitFor(ctx, path); err != nil {
				return err
			}
		}
		for _, test := range []struct {
			name string
			want [2]int // the processes that both have had
		}{{"middle/parser", [2]int{2, 2}}, {"middle/parser#1", [2]int{3, 2}}, {"parser", [2]int{4, 3}}, {"parser#2", [2]int{}}, {"middle/parser#2", [2]int{4, 4}}} {
			_, err := give(ctx, wire.OrderRequest{Name: test.name, Do: wire.OrderRestart})
			if absent := test.want[0] == 0; absent != errors.Is(err, directory.ErrNotFound) || !absent && err != nil {
				t.Errorf("D04: %s: %v", test.name, err)
				continue
			}
			got := [2]int{}
			for late := time.Now().Add(patience); got != test.want && time.Now().Before(late); { // what is told of them comes on a way of its own
				all, err := directory.Query(ctx, "parser")
				if err != nil {
					return err
				}
				got = [2]int{all[0].Epoch, all[1].Epoch}
			}
			if got != test.want {
				t.Errorf("D04: after a restart of %s they have had %d processes, want %d", test.name, got, test.want)
			}
		}
		return nil
	})
}

// D04, O01: of several programs of one name that have joined, the events say which has given an order.
func TestD04_EventsSayWhoHasOrdered(t *testing.T) {
	ordered(t, func(ctx context.Context) error {
		return join(t.Context(), "guest", func(second context.Context) error {
			for e, err := range directory.From(ctx).Watch(ctx, "vault") {
				if err != nil {
					return err
				}
				if e.Path == "" {
					if _, err := give(second, wire.OrderRequest{Name: "vault", Do: wire.OrderCancel}); err != nil {
						return err
					}
				}
				if e.To == directory.Stopping && e.Step == "" && e.Reason != "cancelled by guest#2" {
					t.Errorf("D04: the vault has ended because: %s", e.Reason)
				}
				if e.To == directory.Gone {
					break
				}
			}
			_, err := give(ctx, wire.OrderRequest{Name: "guest", Do: wire.OrderCancel})
			if err == nil || !strings.Contains(err.Error(), "guest#1, guest#2; say which") {
				t.Errorf("D04: an order for one of two guests: %v", err)
			}
			return nil
		})
	})
}
