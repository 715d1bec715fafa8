package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Patience is how long a process may take to say what it is doing.
const Patience = 2 * time.Second

const (
	// askBound is how long the answer about an actor may take: patience, and as much again for the way there and back. It is
	// the bound of an actor whose host hangs, too, or the link to that.
	askBound = 2 * Patience
	// atOnce is how many actors are asked at once. It is less than a host takes of one program.
	atOnce = 12
	// lastLines is how many records of each actor are told.
	lastLines = 10
)

// Tree is how the actors of a tree are asked: by its root, or by a program that has joined. It may be used from any
// goroutine.
type Tree struct {
	// Registry says who is there. It answers without asking any actor.
	Registry directory.Registry
	// Records are those of the tree, of which the last ones of each actor are told; nil: none are, which spares reading all that are kept.
	Records telemetry.Source
	// Ask has an order carried out. One without a name and a path is for the host itself.
	Ask func(ctx context.Context, r wire.OrderRequest) ([]byte, error)
	// Without are those that are left out; nil: nobody.
	Without func(last *directory.Event) bool
}

// WithOrders returns a ctx whose orders are carried out by do: in the body of a root's nursery, and in that of a program that
// has joined. A plugin has one, too, whose host refuses it.
func WithOrders(ctx context.Context, do func(ctx context.Context, r wire.OrderRequest) ([]byte, error)) context.Context {
	return ctxvalue.With(ctx, do)
}

// Order has an order carried out in the tree that ctx is in.
func Order(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	if do := ctxvalue.Of[func(ctx context.Context, r wire.OrderRequest) ([]byte, error)](ctx); do != nil {
		return do(ctx, r)
	}
	return nil, fault.ErrNotExposed
}

// Orders is how a program orders that has joined a host.
func Orders(host endpoint.Reach) func(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	return func(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
		args, err := Encode(r)
		if err != nil {
			return nil, err
		}
		t, err := host(ctx)
		if err != nil {
			return nil, err
		}
		if r.Asks() {
			return t.AskRuntime(ctx, wire.Order, args)
		}
		return t.CallRuntime(ctx, wire.Order, args)
	}
}

// Actor asks about the actor that an order means. Its errors are those of the order: that there is no such actor, or
// more than one of that name. One that hangs is no error, and is told with what its host knows.
func (t Tree) Actor(ctx context.Context, r wire.OrderRequest) (*Actor, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askBound, fmt.Errorf("no answer within %v", askBound))
	defer cancel()
	answer, err := t.Ask(ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := DecodeActor(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: what is known of %s: %w", fault.ErrProtocol, r.Path+r.Name, err)
	}
	last, err := t.lastOf(ctx, telemetry.Filter{Actor: a.Path, Level: slog.LevelDebug})
	if a.Log = last[a.Path]; err != nil { // a name that is the same elsewhere in the tree is not meant
		a.Log = []telemetry.Record{unread(err)}
	}
	return a, nil
}

// Entries are those of the actors that a text means, as in [telemetry.Filter], and of all below them, each after its
// host. With "" the first one is the host itself.
func (t Tree) Entries(ctx context.Context, name string) ([]directory.Entry, error) {
	all, err := t.Registry.Entries(ctx, "")
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(slices.Clone(all), func(e directory.Entry) bool {
		return !treepath.Concerns(e.Path, name) || t.Without != nil && t.Without(&e.Last)
	})
	if name == "" {
		return append([]directory.Entry{{}}, found...), nil
	}
	if len(found) == 0 {
		text, err := t.Registry.Missing(ctx, name)
		return nil, cmp.Or(err, fmt.Errorf("%w: %s", directory.ErrNotFound, text))
	}
	return found, nil
}

// asking is one actor that is being asked.
type asking struct {
	done  chan struct{}
	actor *Actor // once done is closed; nil when it was given away
	hangs bool   // the same
}

// Each asks about actors, some at the same time, and gives what is known of each in their order, in which hosts come
// first. Those below one that hangs are not asked. Log is not filled in.
//
// Few are asked ahead of the one that is given next, so that few answers, which are large, are held at a time. One that is asked
// waits until its host was; the host comes before it in the order, and so never waits for it. A loop that is left early ends
// the questions that are under way, and Each returns when they have ended.
func (t Tree) Each(ctx context.Context, entries []directory.Entry, do string) iter.Seq[*Actor] {
	return func(yield func(*Actor) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var asked task.Group
		defer asked.Close()
		defer cancel()
		all := map[string]*asking{}
		next := 0
		for i := range entries {
			for ; next < min(len(entries), i+atOnce); next++ {
				e, a, host := entries[next], &asking{done: make(chan struct{})}, all[treepath.Host(entries[next].Path)]
				all[e.Path] = a
				asked.Go(func() {
					defer close(a.done)
					a.actor = t.ask(ctx, e, do, host)
					a.hangs = a.actor.Hangs
				})
			}
			a := all[entries[i].Path]
			<-a.done
			given := a.actor
			a.actor = nil // it is large
			if !yield(given) {
				return
			}
		}
	}
}

// ask asks about one actor, when it is known of its host whether that hangs. Whatever comes of it, something is known: at
// least what the directory says. An answer is believed in all but the path, by which those who ask have found the
// actor: what is below a plugin, that plugin may say what it likes of.
func (t Tree) ask(ctx context.Context, e directory.Entry, do string, host *asking) *Actor {
	a := &Actor{Path: e.Path, Name: e.Actor.Name, UUID: e.Actor.UUID, PID: e.Actor.PID, State: e.State, Reason: e.Last.Reason, Epoch: e.Epoch, Joined: e.Last.Joined, Host: e.Last.Host}
	if host != nil {
		<-host.done
		if a.Hangs = host.hangs; a.Hangs {
			a.Silent = fmt.Sprintf("it is not asked, since %s hangs, which hosts it", treepath.Host(e.Path))
			return a
		}
	}
	if e.State == directory.Standby {
		a.Silent = "it is a spare, which waits to be an actor"
		return a
	}
	bounded, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	answer, err := t.Ask(bounded, wire.OrderRequest{Path: e.Path, Do: do})
	if err == nil {
		var known *Actor
		if known, err = DecodeActor(answer); err == nil {
			known.Path = cmp.Or(e.Path, known.Path) // the directory knows better than what is below
			return known
		}
	}
	a.Hangs = bounded.Err() != nil
	a.Silent = "its host says nothing of it: " + fault.Line(err)
	return a
}

// lastOf are the last records of each actor that a filter is about. All that are kept are read for it, once for all
// actors: nobody keeps them by actor. What was lost on the way to the root has a record that says so.
func (t Tree) lastOf(ctx context.Context, f telemetry.Filter) (map[string][]telemetry.Record, error) {
	all := map[string][]telemetry.Record{}
	if t.Records == nil {
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	for r, err := range t.Records.Watch(ctx, f) {
		if _, lagged := errors.AsType[*fault.Lagged](err); lagged {
			continue
		} else if err != nil {
			return all, err
		}
		all[r.Actor] = append(all[r.Actor], r)
		all[r.Actor] = all[r.Actor][max(0, len(all[r.Actor])-lastLines):]
	}
	return all, nil
}

// unread stands for records that could not be read.
func unread(err error) telemetry.Record {
	return telemetry.Record{Time: time.Now(), Level: slog.LevelWarn, Text: "the records cannot be read: " + fault.Line(err)}
}
