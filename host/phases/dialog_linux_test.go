package phases_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

// The phases of a context, as its opener sees them.
const (
	notStarted = "not started"
	running    = "both run"
	returned   = "the callee has returned"
	failed     = "the callee has failed"
	cancelled  = "cancelled"
	cut        = "the link is lost"
)

var contextTable = table{
	"A context",
	[]string{notStarted, running, returned, failed, cancelled, cut},
	[]row{
		{"ContextEndpoint.Open", []string{"waits, ErrActorLost", "-", "-", "-", "-", "ErrActorLost"}},
		{"OpenAll", []string{"waits, ErrActorLost", "-", "-", "-", "-", "ErrActorLost"}},
		{"SourceEndpoint.Stream", []string{"waits, ErrActorLost", "-", "-", "-", "-", "ErrActorLost"}},
		{"SourceEndpoint.Borrow", []string{"waits, ErrActorLost", "-", "-", "-", "-", "ErrActorLost"}},
		{"Opener.Wait", []string{"-", "waits, ContextCancelled", "a value", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Opener.Stream", []string{"-", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed"}},
		{"Opener.Cancel", []string{"-", "nil", "nil", "nil", "nil", "nil"}},
		{"Stream.Send", []string{"-", "waits, ContextCancelled", "a value", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Stream.Recv", []string{"-", "waits, ContextCancelled", "EOF", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Stream.All", []string{"-", "waits, ContextCancelled", "the end", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Stream.Borrow", []string{"-", "waits, ContextCancelled", "the end", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Stream.Batches", []string{"-", "waits, ContextCancelled", "the end", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Callee.Started", []string{"a value", "ErrStartedTwice", "ErrStartedTwice", "the failure", "ContextCancelled", "ErrActorLost"}},
		{"Callee.Stream", []string{"-", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed", "ErrStreamClosed"}},
		{"Callee.Cancel", []string{"-", "nil", "nil", "nil", "nil", "nil"}},
	},
}

// What the callee serves: a context that does what the stage wants, and others that never
// begin or give anything.
var (
	work   = contract.Context[none, none, int, int, none]("work")
	never  = contract.Context[none, none, int, int, none]("never")
	silent = contract.Source[none, int]("silent")
)

// linked is an open context between two actors of this process.
type linked struct {
	portal contract.Portal
	opens  *task.Worker
	opener *contract.Opener[none, int, int, none]
	callee *contract.Callee[none, int, int]
	stream *contract.Stream[int, int] // the opener's

	there, start, opened, leave chan struct{}
	told                        <-chan struct{} // the opener's task is to end
	end                         chan error
}

// connect links two actors.
func (s *stage) connect(handlers ...contract.Handler) contract.Portal {
	s.t.Helper()
	a, b := pipe.New()
	self := actor.NewID("callee")
	served, err := endpoint.Expose(self, handlers...)
	if err != nil {
		s.t.Fatal(err)
	}
	caller := dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("opener")}), dialog.Config{CancelTimeout: patience})
	callee := dialog.NewTable(link.New(b, link.Config{Self: self, Dialled: true}), dialog.Config{Accept: served.Accept, CancelTimeout: patience})
	<-caller.Link().Greeted()
	<-callee.Link().Greeted()
	s.cut = func() {
		for _, table := range []*dialog.Table{caller, callee} {
			table.Link().Abort(errors.New("cut"))
			<-table.Link().Done()
			table.Lose(&fault.LinkLost{Peer: table.Peer(), Reason: "cut"})
		}
	}
	s.t.Cleanup(func() {
		s.cut()
		callee.Close()
		caller.Close()
	})
	return endpoint.To(caller)
}

// link opens the stage's context, up to the callee's first act.
func (s *stage) link() *linked {
	l := &linked{
		there: make(chan struct{}), start: make(chan struct{}), opened: make(chan struct{}),
		leave: make(chan struct{}), end: make(chan error, 1),
	}
	l.portal = s.connect(
		work.Handle(l.serve),
		never.Handle(func(ctx context.Context, n none, _ *contract.Callee[none, int, int]) (none, error) {
			<-ctx.Done()
			return n, ctx.Err()
		}),
		silent.Handle(func(ctx context.Context, _ none) iter.Seq2[int, error] {
			return func(func(int, error) bool) { <-ctx.Done() }
		}))
	l.opens = task.Start(func() { _, _ = work.Open(s.ctx, l.portal, none{}, l.body) }) // each phase asks what it has ended with
	<-l.there
	return l
}

func (l *linked) serve(ctx context.Context, n none, c *contract.Callee[none, int, int]) (none, error) {
	l.callee = c
	close(l.there)
	select {
	case <-l.start:
	case <-ctx.Done():
		return n, ctx.Err()
	}
	if err := c.Started(n); err != nil && !errors.Is(err, fault.ErrStartedTwice) {
		return n, err
	}
	if _, err := c.Stream(contract.StreamOptions{}); err != nil {
		return n, err
	}
	select {
	case err := <-l.end:
		return n, err
	case <-ctx.Done():
		return n, ctx.Err()
	}
}

// body opens the opener's end, and fills the callee's buffer.
func (l *linked) body(ctx context.Context, c *contract.Opener[none, int, int, none]) (err error) {
	l.opener, l.told = c, ctx.Done()
	if l.stream, err = c.Stream(contract.StreamOptions{}); err != nil {
		return err
	}
	for range dialog.DefaultMessages {
		if err := l.stream.Send(ctx, 1); err != nil {
			return err
		}
	}
	close(l.opened)
	<-l.leave // and not only until ctx ends: what it has can be used after that, too
	return ctx.Err()
}

var contextProbes = map[string]probe{
	"ContextEndpoint.Open": func(ctx context.Context, s *stage) string {
		_, err := never.Open(ctx, s.l.portal, none{}, nil)
		return words(err)
	},
	"OpenAll": func(ctx context.Context, s *stage) string {
		_, err := flow.OpenAll(ctx, never, []flow.Target[none]{{Portal: s.l.portal}}, nil)
		return words(err)
	},
	"SourceEndpoint.Borrow": func(ctx context.Context, s *stage) string { return last(silent.Borrow(ctx, s.l.portal, none{})) },
	"SourceEndpoint.Stream": func(ctx context.Context, s *stage) string { return last(silent.Stream(ctx, s.l.portal, none{})) },
	"Opener.Wait":           func(ctx context.Context, s *stage) string { _, err := s.l.opener.Wait(ctx); return words(err) },
	"Opener.Stream": func(_ context.Context, s *stage) string {
		_, err := s.l.opener.Stream(contract.StreamOptions{})
		return words(err)
	},
	"Opener.Cancel":  func(ctx context.Context, s *stage) string { return ended(s.l.opener.Cancel(ctx, "asked")) },
	"Stream.Send":    func(ctx context.Context, s *stage) string { return words(s.l.stream.Send(ctx, 1)) },
	"Stream.Recv":    func(ctx context.Context, s *stage) string { _, err := s.l.stream.Recv(ctx); return words(err) },
	"Stream.All":     func(ctx context.Context, s *stage) string { return last(s.l.stream.All(ctx)) },
	"Stream.Borrow":  func(ctx context.Context, s *stage) string { return last(s.l.stream.Borrow(ctx)) },
	"Stream.Batches": func(ctx context.Context, s *stage) string { return last(s.l.stream.Batches(ctx, 0)) },
	"Callee.Started": func(_ context.Context, s *stage) string { return words(s.l.callee.Started(none{})) },
	"Callee.Stream": func(_ context.Context, s *stage) string {
		_, err := s.l.callee.Stream(contract.StreamOptions{})
		return words(err)
	},
	"Callee.Cancel": func(ctx context.Context, s *stage) string { return ended(s.l.callee.Cancel(ctx, "asked")) },
}

// last is what a sequence ends with.
func last[M any](all iter.Seq2[M, error]) string {
	for _, err := range all {
		if err != nil {
			return words(err)
		}
	}
	return "the end"
}

// P14: every public function of a context that waits returns in each of its phases.
func TestP14_EachPhaseOfAContext(t *testing.T) {
	for _, phase := range contextTable.columns {
		t.Run(phase, func(t *testing.T) {
			s := &stage{t: t, ctx: t.Context()}
			s.l = s.link()
			if phase != notStarted {
				close(s.l.start)
				<-s.l.opened
			}
			switch phase {
			case returned:
				s.l.end <- nil
				_, _ = s.l.opener.Wait(s.ctx) // its row asks once more
			case failed:
				s.l.end <- errFailed
				_, _ = s.l.opener.Wait(s.ctx) // the same
			case cancelled:
				_ = s.l.opener.Cancel(s.ctx, "asked") // the same
			case cut:
				s.cut()
			}
			s.playContext(phase)
			s.l.opens.Wait()
		})
	}
	for _, ender := range []string{"Callee.Cancel", "Callee.Started"} {
		t.Run(running+", "+ender, func(t *testing.T) {
			s := &stage{t: t, ctx: t.Context()}
			s.l = s.link()
			close(s.l.start)
			<-s.l.opened
			run := s.start(ender, contextProbes[ender])
			<-s.l.told
			close(s.l.leave) // it obeys
			s.check(run, contextTable.cell(ender, running))
			s.l.opens.Wait()
		})
	}
}

// playContext plays a phase, and ends it: by the opener's Cancel, or with the link.
func (s *stage) playContext(phase string) {
	enders := []string{"Opener.Cancel"}
	if phase == running {
		enders = append(enders, "Callee.Cancel", "Callee.Started")
	}
	held := s.begin(contextTable, phase, contextProbes, enders...)
	if phase == notStarted {
		s.cut()
	} else {
		s.check(s.start("Opener.Cancel", contextProbes["Opener.Cancel"]), contextTable.cell("Opener.Cancel", phase))
	}
	s.finish(held)
	close(s.l.leave)
}
