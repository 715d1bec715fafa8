package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestN08_WellBehavedChildMeetsNoForce(t *testing.T) {
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		for range 3 {
			p, err := n.Start(ctx, unforced(spec(t, "good", "good")))
			if err != nil {
				return err
			}
			hold(ctx, n, forever, p)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "teardown goes on") {
		t.Errorf("force was used:\n%s", text)
	}
}

func TestN08_StuckChildIsKilledWithinTheBounds(t *testing.T) {
	parallel(t)
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "stuck", "good")
		short := config.Duration(50 * time.Millisecond)
		s.CancelTimeout, s.Grace, s.TermTimeout = short, short, short
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		called := hold(ctx, n, stuck, p)
		if err := p.Cancel(ctx, "done"); !errors.Is(err, fault.ErrActorTooSlow) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancel: %v", err)
		}
		<-p.Done()
		if err := <-called; err == nil {
			t.Error("a call into a killed actor gave no error")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "SIGTERM") {
		t.Errorf("no force was used:\n%s", text)
	}
}

func TestP05_CancelTwiceAndOnADeadActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, plug("good", "good"))
			if err != nil {
				return err
			}
			for range 2 {
				if err := p.Cancel(ctx, "done"); err != nil {
					t.Error(err)
				}
			}
			<-p.Done()
			if err := p.Cancel(ctx, "done"); err != nil {
				t.Errorf("on a dead actor: %v", err)
			}
			if _, err := echo.Call(ctx, p, "x"); !errors.Is(err, fault.ErrActorClosing) {
				t.Errorf("a call into it gave %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestP06_CancelledActorsTasksAnswerBeforeTheLinkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, plug("good", "good"))
			if err != nil {
				return err
			}
			called := hold(ctx, n, forever, p)
			if err := p.Cancel(ctx, "done"); err != nil {
				t.Error(err)
			}
			err = <-called
			cancelled, ok := fault.Cancelled(err)
			if !ok || !cancelled.Canceller.Is(n.Self()) {
				t.Errorf("the call gave %v; want a ContextCancelled by %s", err, n.Self())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestF04_LogsKeepLevelAndFields(t *testing.T) {
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "talker", "good"))
		if err != nil {
			return err
		}
		if _, err := say.Call(ctx, p, strings.Repeat("long ", 50_000)); err != nil {
			return err
		}
		if _, err := say.Call(ctx, p, "short"); err != nil {
			return err
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
	log.await(t, `"level":"WARN","msg":"structured short","actor":"talker@`, `"answer":42`,
		`"level":"INFO","msg":"printed short","actor":"talker@`, `"stream":"stdout"`)
	// The plain line is there in pieces, the record with the head of its message.
	if n := strings.Count(log.String(), "long "); n < 50_000+10_000 || n > 50_000+14_000 {
		t.Errorf("%d words of the long lines were logged", n)
	}
	if !strings.Contains(log.String(), `"part":"head"`) {
		t.Error("the log does not say that a record was cut")
	}
}

func TestM10_SourceOverProcesses(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "source", "good"))
		if err != nil {
			return err
		}
		want := 0
		for got, err := range numbers.Stream(ctx, p, 10_000) {
			if err != nil || got != want {
				t.Fatalf("got %d, %v; want %d", got, err, want)
			}
			want++
		}
		if want != 10_000 {
			t.Errorf("%d messages", want)
		}
		for got, err := range numbers.Stream(ctx, p, 1_000_000_000) {
			if err != nil || got == 100 {
				break
			}
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}
