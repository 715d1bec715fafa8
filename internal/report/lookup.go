package report

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of what runs at once for one actor that asks; more of it waits to begin.
const (
	mostQueries = 32
	mostWatches = 1024
)

// question is the argument of wire.Query and wire.Watch.
type question struct {
	Name string `json:"name,omitempty"` // a name or a path; "": everybody
	// Missing asks wire.Query for no entries, but for what Registry.Missing says: so much
	// less is sent.
	Missing bool `json:"missing,omitempty"`
}

// Answers gives the task by which a host answers what an actor asks about the tree that r has; nil
// if the endpoint is another one.
func Answers(start *wire.Start, r directory.Registry) dialog.Task {
	var answer func(ctx context.Context, d *dialog.Dialog, r directory.Registry, q question) ([]byte, error)
	most := 0
	switch {
	case start.Endpoint == wire.Query && start.Kind == dialog.Func:
		answer, most = query, mostQueries
	case start.Endpoint == wire.Watch && start.Kind == dialog.Source:
		answer, most = watch, mostWatches
	default:
		return nil
	}
	return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		if err := d.Enter(most); err != nil {
			return nil, err
		}
		var q question
		if err := codecs.CBOR.Unmarshal(d.Args(), &q); err != nil {
			return nil, fmt.Errorf("%s: %w", start.Endpoint, err)
		}
		return answer(ctx, d, r, q)
	}
}

// query answers with the last event of each entry, and when that became ready; or with what is
// there in the place of one.
func query(ctx context.Context, d *dialog.Dialog, r directory.Registry, q question) ([]byte, error) {
	if q.Missing {
		text, err := r.Missing(ctx, q.Name)
		if err != nil {
			return nil, err
		}
		return own(d, text)
	}
	entries, err := r.Entries(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	answer := make([]message, len(entries))
	for i, e := range entries {
		answer[i] = message{Event: &e.Last, Since: e.Since}
		if err := answer[i].prepare(d.Self()); err != nil {
			return nil, err
		}
	}
	return own(d, answer)
}

// own is an answer in CBOR.
func own(d *dialog.Dialog, answer any) ([]byte, error) {
	b, err := marshal(answer)
	if err != nil {
		return nil, err
	}
	return d.Own(b), nil
}

// watch sends what the registry's loop gives. One over all actors only shows them.
func watch(ctx context.Context, d *dialog.Dialog, r directory.Registry, q question) ([]byte, error) { //nolint:unparam // as query
	looking := ctx
	if q.Name == "" {
		looking = task.Unhurried(ctx)
	}
	return nil, show(ctx, d, r.Watch(looking, q.Name), func(e *directory.Event) message { return message{Event: e} })
}

// show sends what a loop gives to whoever watches.
func show[T any](ctx context.Context, d *dialog.Dialog, all iter.Seq2[T, error], of func(*T) message) error {
	for v, err := range all {
		m := messageOf(of(&v), err)
		if err != nil && m.Missed == 0 {
			return err
		}
		if err := send(ctx, d, d.SourceStream(), &m); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Tree is the registry of an actor that has a host. Memory has what the actor hosts itself,
// and below that: nobody knows of it earlier. For the rest it asks the host, and keeps
// nothing. It is made once, and does not change.
type Tree struct {
	*directory.Memory
	Host endpoint.Reach // the link to the host
	// To leads to an actor that this one does not host, by its path.
	To func(path string, id actor.ID) endpoint.Reach
}

var _ directory.Registry = Tree{}

// Entries are those of the whole tree. What is below this actor it knows itself.
func (t Tree) Entries(ctx context.Context, name string) ([]directory.Entry, error) {
	if t.Has(name) {
		return t.Memory.Entries(ctx, name)
	}
	entries, err := t.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	own, err := t.Memory.Entries(ctx, name)
	entries = slices.DeleteFunc(entries, func(e directory.Entry) bool { return t.Has(e.Path) })
	entries = append(entries, own...)
	slices.SortFunc(entries, func(a, b directory.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries, err
}

// Missing asks the host, unless this actor hosts some of the name.
func (t Tree) Missing(ctx context.Context, name string) (text string, err error) {
	if own, _ := t.Memory.Entries(ctx, name); len(own) > 0 { // it does not fail
		return t.Memory.Missing(ctx, name)
	}
	err = t.query(ctx, question{Name: name, Missing: true}, &text)
	return words.Clip(text, maxText), err
}

// query asks the host.
func (t Tree) query(ctx context.Context, q question, answer any) error {
	host, err := t.Host(ctx)
	if err != nil {
		return err
	}
	args, err := marshal(q)
	if err != nil {
		return err
	}
	payload, err := host.CallRuntime(ctx, wire.Query, args.Bytes())
	if err != nil {
		return err
	}
	if err := codecs.CBOR.Unmarshal(payload, answer); err != nil {
		return fmt.Errorf("%w: the answer to %s: %w", fault.ErrProtocol, wire.Query, err)
	}
	return nil
}

func (t Tree) ask(ctx context.Context, name string) ([]directory.Entry, error) {
	var answer []message
	if err := t.query(ctx, question{Name: name}, &answer); err != nil {
		return nil, err
	}
	entries := make([]directory.Entry, 0, len(answer))
	for _, m := range answer {
		if m.Event == nil {
			continue
		}
		if err := m.unpack(); err != nil {
			return nil, fmt.Errorf("%w: the answer to %s: %w", fault.ErrProtocol, wire.Query, err)
		}
		e := m.Event
		entries = append(entries, directory.Entry{
			Path: e.Path, Actor: e.Actor, Epoch: e.Epoch, State: e.To, Endpoints: e.Endpoints, Since: m.Since, Last: *e,
		})
	}
	return entries, nil
}

// Watch ranges over what becomes of the whole tree, as the host tells it. What is below this
// actor it knows itself.
func (t Tree) Watch(ctx context.Context, name string) iter.Seq2[directory.Event, error] {
	if t.Has(name) {
		return t.Memory.Watch(ctx, name)
	}
	return watched(ctx, t.Host, wire.Watch, question{Name: name}, func(m message) directory.Event {
		if m.Event == nil {
			return directory.Event{}
		}
		return *m.Event
	})
}

// watched ranges over what a host gives for a question, until the loop wants no more, or
// its ctx ends.
func watched[T any](ctx context.Context, host endpoint.Reach, endpoint string, question any, value func(message) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := watchAt(ctx, host, endpoint, question, func(m message) bool {
			var err error
			if m.Missed > 0 {
				err = &fault.Lagged{Missed: m.Missed}
			}
			stopped = !yield(value(m), err)
			return !stopped
		})
		if err != nil && !stopped && ctx.Err() == nil {
			var none T
			yield(none, err)
		}
	}
}

// watchAt gives each message to take, until that wants no more.
func watchAt(ctx context.Context, at endpoint.Reach, endpoint string, question any, take func(message) bool) error {
	host, err := at(ctx)
	if err != nil {
		return err
	}
	args, err := marshal(question)
	if err != nil {
		return err
	}
	d, err := host.Open(ctx, &dialog.Request{
		Endpoint: endpoint, Kind: dialog.Source, Codec: codecs.CBOR.Name(), Args: args.Bytes(), Owner: args, Window: window,
	})
	if err != nil {
		return err
	}
	return d.Scope(func(ctx context.Context, d *dialog.Dialog) error {
		for {
			payload, err := d.SourceStream().Recv(ctx)
			if err == io.EOF { //nolint:errorlint // a failure may wrap one
				_, err := d.Wait(ctx)
				return err
			}
			if err != nil {
				return err
			}
			m, err := decode(payload)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", fault.ErrProtocol, endpoint, err)
			}
			if !take(m) {
				return d.Cancel(ctx, "the loop has ended")
			}
		}
	})
}

// Portal leads to the process of an entry, and to no other one.
func (t Tree) Portal(e directory.Entry) contract.Portal {
	if t.Has(e.Path) {
		return t.Memory.Portal(e)
	}
	return t.To(e.Path, e.Actor)
}
