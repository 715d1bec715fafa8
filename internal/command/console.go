package command

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/seed-2ba35074/trellis/internal/command/internal/console"
	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// watching is the screen of host top while it is shown: a console.Model, the program of Bubble Tea that has the terminal, and,
// as long as the host is there, what reads the tree. The model is the program's goroutine's alone; all others send messages.
type watching struct {
	p     *program
	o     *tables
	model *console.Model
	tea   *tea.Program

	joined chan struct{}        // closed when the tree can be read
	asked  chan console.Request // from the model, to what reads the tree
}

// mostAsked is how many requests wait at most, each of which a key makes. What reads the tree takes them without waiting itself.
const mostAsked = 64

// join is join with the screen around it: the command leaves the tree when that is left, and stays on the terminal when
// the tree has ended, until a key is pressed.
func (w *watching) join(at *site, ctx context.Context, do func(ctx context.Context) error) error { //nolint:revive // as a method of site
	if w.o.batch {
		return at.join(ctx, do)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it would write into the screen
	w.joined, w.asked = make(chan struct{}), make(chan console.Request, mostAsked)
	w.model = console.New(console.Options{Host: at.at, Sort: w.o.sort, ReadOnly: w.o.readOnly})
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithOutput(w.p.screen.terminal), tea.WithoutSignalHandler()}
	if !w.p.screen.style.colour {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	w.tea = tea.NewProgram(w, options...)
	var err error
	reading := task.Start(func() { err = at.join(ctx, do) })
	select {
	case <-w.joined:
	case <-reading.Done():
		return err
	}
	telling := task.Start(func() {
		reading.Wait()
		w.tea.Send(console.Over{Reason: ending(err)})
	})
	_, failed := w.tea.Run()
	if cause := context.Cause(ctx); cause != nil { // a signal, or --timeout
		failed = cause
	}
	leave()
	telling.Wait()
	return failed
}

// ending is why there is no tree any more, in a few words.
func ending(err error) string {
	switch cancelled, was := fault.Cancelled(err); {
	case err == nil:
		return ""
	case was && cancelled.Reason != "":
		return cancelled.Reason
	}
	return fault.Line(err)
}

// Init is a method of tea.Model.
func (w *watching) Init() tea.Cmd { return nil }

// Update is a method of tea.Model. What is not the terminal's is the model's.
func (w *watching) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch key, is := msg.(tea.KeyPressMsg); {
	case is && key.String() == "ctrl+z":
		return w, tea.Suspend
	case is && key.String() == "ctrl+l":
		return w, tea.ClearScreen
	case is:
		msg = console.Press{Key: key.String(), Text: key.Text}
	}
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		msg = console.Size{Width: m.Width, Height: m.Height}
	case tea.PasteMsg:
		msg = console.Press{Text: m.Content}
	}
	for _, r := range w.model.Update(msg) {
		if r.Do == console.Quit {
			return w, tea.Quit
		}
		select {
		case w.asked <- r:
		default: // nobody reads the tree any more
		}
	}
	return w, nil
}

// View is a method of tea.Model.
func (w *watching) View() tea.View {
	v := tea.NewView(w.model.Frame())
	v.AltScreen = true
	return v
}

// read sends the model what the tree says, and does what it asks for, until ctx ends.
func (w *watching) read(ctx context.Context, actor string) error {
	var v top.View
	if _, err := look(ctx, &v, actor); err != nil {
		return err
	}
	close(w.joined)
	var tasks task.Group
	defer tasks.Close()
	tasks.Go(func() { w.measure(ctx, &v, actor) })
	tasks.Go(func() { w.follow(ctx, actor) })
	pages := map[int]context.CancelFunc{}
	for {
		select {
		case r := <-w.asked:
			if end := pages[r.Page]; r.Do == console.Leave && end != nil {
				end()
				delete(pages, r.Page)
				continue
			}
			page, left := context.WithCancel(ctx)
			if r.Do == console.Logs || r.Do == console.Traces {
				pages[r.Page] = left
			}
			tasks.Go(func() {
				defer left()
				w.answer(page, r)
			})
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// measure sends a table at once and then for each interval, or why there is none.
func (w *watching) measure(ctx context.Context, v *top.View, actor string) {
	ticker := time.NewTicker(w.o.interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		var t top.Table
		var err error
		asked := time.Now()
		looking := task.Start(func() { t, err = look(ctx, v, actor) })
		for done := false; !done; {
			select {
			case <-looking.Done():
				done = true
			case <-ticker.C:
				if waited := time.Since(asked); waited > lateAfter {
					w.tea.Send(console.Late{Reason: fmt.Sprintf("no answer for %v", waited.Round(time.Second))})
				}
			}
		}
		if err == nil {
			w.tea.Send(console.Measured{Table: t})
		} else { // the actor that is to be shown may come back, and the end of the tree ends ctx
			w.tea.Send(console.Late{Reason: fault.Line(err)})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// lateAfter is how long a look may take before that is shown. Actors that do not answer take up a second of it.
const lateAfter = 2 * time.Second

// follow sends the events of all actors that are shown.
func (w *watching) follow(ctx context.Context, actor string) {
	past := true
	for e, err := range directory.From(ctx).Watch(ctx, "") {
		_, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
		case err != nil:
			return
		case e.Path == "":
			past = false
		case !document.IsCommand(&e) && treepath.Concerns(e.Path, actor):
			w.tea.Send(console.Happened{Event: e, Past: past})
		}
	}
}

// answer does what the model has asked for.
func (w *watching) answer(ctx context.Context, r console.Request) {
	switch r.Do {
	case console.Describe:
		a, err := joinedTree(ctx).Actor(ctx, wire.OrderRequest{Path: r.Path, Do: wire.OrderDescribe})
		if err != nil {
			w.tea.Send(console.Failed{Page: r.Page, Reason: fault.Line(err)})
			return
		}
		w.tea.Send(console.Described{Page: r.Page, Actor: a, Shape: endpointLines(document.Describe(a))})
	case console.Contexts:
		w.contexts(ctx, r)
	case console.Logs:
		all := telemetry.From(ctx).Watch(ctx, telemetry.Filter{Actor: r.Path, Level: slog.LevelDebug, Trace: r.Trace, Follow: true})
		gather(ctx, w, r.Page, all, func(some []telemetry.Record) any { return console.Said{Page: r.Page, Records: some} })
	case console.Traces:
		all := telemetry.From(ctx).WatchSpans(ctx, telemetry.Filter{Follow: true})
		gather(ctx, w, r.Page, all, func(some []telemetry.Span) any { return console.Ended{Page: r.Page, Spans: some} })
	case console.Restart, console.Cancel, console.Scale:
		do := map[console.Do]string{console.Restart: wire.OrderRestart, console.Cancel: wire.OrderCancel, console.Scale: wire.OrderScale}[r.Do]
		_, err := order(ctx, wire.OrderRequest{Path: r.Path, Do: do, Replicas: r.N})
		done := console.Done{Request: r}
		if err != nil {
			done.Reason = fault.Line(err)
		}
		w.tea.Send(done)
	}
}

// mostBelow is how many of those that an actor hosts are asked for its contexts with them: each of them is work for its host.
const mostBelow = 32

// contexts tells of an actor, and of those that it hosts.
func (w *watching) contexts(ctx context.Context, r console.Request) {
	tree := joinedTree(ctx)
	all, err := tree.Entries(ctx, "")
	if err != nil {
		w.tea.Send(console.Failed{Page: r.Page, Reason: fault.Line(err)})
		return
	}
	all = slices.DeleteFunc(all, func(e directory.Entry) bool {
		return e.Path != r.Path && (e.Path == "" || treepath.Host(e.Path) != r.Path)
	})
	d := console.Described{Page: r.Page}
	for a := range tree.Each(ctx, all[:min(len(all), 1+mostBelow)], wire.OrderLook) {
		if d.Actor == nil {
			d.Actor = a
		} else {
			d.Below = append(d.Below, a)
		}
	}
	if d.Actor == nil || d.Actor.Path != r.Path {
		w.tea.Send(console.Failed{Page: r.Page, Reason: "it is gone"})
		return
	}
	w.tea.Send(d)
}

// gather sends what a loop gets: all that has come meanwhile in one message, so that a frame is not drawn for each of them.
func gather[T any](ctx context.Context, w *watching, page int, all iter.Seq2[T, error], message func(some []T) any) {
	const most = 256
	coming := make(chan T, most)
	reading := task.Start(func() {
		defer close(coming)
		for one, err := range all {
			lagged, behind := errors.AsType[*fault.Lagged](err)
			switch {
			case behind:
				w.tea.Send(console.Failed{Page: page, Reason: fmt.Sprintf("%d older ones are not kept", lagged.Missed)})
				continue
			case err != nil:
				if ctx.Err() == nil {
					w.tea.Send(console.Failed{Page: page, Reason: strings.TrimSpace(err.Error())})
				}
				return
			}
			coming <- one
		}
	})
	defer reading.Wait()
	for one := range coming {
		some := []T{one}
		for len(some) < most && len(coming) > 0 {
			some = append(some, <-coming)
		}
		w.tea.Send(message(some))
	}
}
