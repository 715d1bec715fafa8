package host_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestV06_ForeignSurvivesARestart(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.Restart = config.Permanent
		s.Backoff.Initial = config.Duration(time.Millisecond)
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		for _, last := range []string{"exit", "exit well"} {
			old, oldConn := f.ID(), conn(ctx, t, f)
			if _, err := get(ctx, f.Services(), last); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", last, err)
			}
			pid, err := get(ctx, f.Services(), "pid") // waits for the next process
			if err != nil || pid == strconv.Itoa(old.PID) || pid != strconv.Itoa(f.ID().PID) {
				t.Errorf("after %q: pid %q, %v; it was %d", last, pid, err, old.PID)
			}
			if conn(ctx, t, f) == oldConn {
				t.Error("the connection is the old one")
			}
			if _, err := get(ctx, oldConn, "pid"); err == nil {
				t.Error("the old connection still works")
			}
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func conn(ctx context.Context, t *testing.T, f *host.Portal) *grpc.ClientConn {
	t.Helper()
	c, err := f.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestV06_ForeignFailsWhileDownIfSoConfigured(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.Restart, s.WhileDown, s.Backoff.Initial = config.Permanent, config.FailWhileDown, config.Duration(time.Hour)
		s.Backoff.Max = s.Backoff.Initial
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		events := host.Events(ctx)
		if _, err := get(ctx, f.Services(), "exit"); err == nil {
			t.Error("it did not exit")
		}
		for e := range events {
			if e.To == directory.Waiting && e.Pause > 0 {
				break
			}
		}
		if _, err := get(ctx, f.Services(), "pid"); !errors.Is(err, fault.ErrActorDown) || status.Code(err) != codes.Unavailable {
			t.Errorf("got %v, code %v", err, status.Code(err))
		}
		if _, err := f.Version(ctx); !errors.Is(err, fault.ErrActorDown) {
			t.Errorf("Version: %v", err)
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestV10_EventsOfAForeignProgram(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.Health.Off = true // a check may meet its death
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if _, err := get(ctx, f.Services(), "exit well"); err == nil {
			t.Error("it did not exit")
		}
		var states []directory.State
		for e, err := range host.Events(ctx) {
			if err != nil {
				return err
			}
			states = append(states, e.To)
			if e.To == directory.Reaped && (e.Cause != directory.Finished || e.Err != nil) {
				t.Errorf("it ended as %+v", e)
			}
			if e.To == directory.Gone {
				break
			}
		}
		want := []directory.State{directory.Waiting, directory.Starting, directory.Ready, directory.Stopping, directory.Reaped, directory.Gone}
		if !slices.Equal(states, want) {
			t.Errorf("it went through %v, want %v", states, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestV08_ForeignProgramWhoseServerStops(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign lingering")
		s.TermTimeout, s.Health.Off = config.Duration(50*time.Millisecond), true
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if _, err := get(ctx, f.Services(), "stop"); status.Code(err) != codes.Unavailable {
			t.Errorf("the call was cut off with %v", err)
		}
		<-f.Done()
		return nil
	})
	lost, ok := errors.AsType[*fault.LinkLost](err)
	if !ok || !strings.Contains(lost.Reason, "connection") {
		t.Fatalf("got %v", err)
	}
}

func TestN08_ForeignProgramThatLingersIsKilled(t *testing.T) {
	parallel(t)
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign lingering")
		s.Grace, s.TermTimeout = config.Duration(50*time.Millisecond), config.Duration(50*time.Millisecond)
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if err := f.Cancel(ctx, "done"); err != nil {
			t.Errorf("it answered the request to shut down; Cancel gave %v", err)
		}
		select {
		case <-f.Done():
		default:
			t.Error("Cancel returned before the process was reaped")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{`"step":"SIGTERM","reason":"it has not exited in time"`, `"step":"SIGKILL"`} { // G7
		if !strings.Contains(log.String(), step) {
			t.Errorf("no %s in\n%s", step, log)
		}
	}
}

func TestN08_BareForeignProgramIsToldBySignal(t *testing.T) {
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign bare")
		s.GoPlugin.MTLS = config.MTLSOff
		s.Grace = config.Duration(time.Hour) // nothing was asked, so nothing is waited for
		s.Health.Interval, s.Health.Failures = config.Duration(time.Millisecond), 1
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		for range 20 { // among its health checks
			if pid, err := get(ctx, f.Services(), "pid"); err != nil || pid != strconv.Itoa(f.ID().PID) {
				t.Errorf("pid %q, %v", pid, err)
			}
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"step":"SIGTERM","reason":"it cannot be asked"`) {
		t.Errorf("no SIGTERM in\n%s", log)
	}
	if strings.Contains(log.String(), `"level":"WARN"`) { // G8: its end is in order
		t.Errorf("a warning in\n%s", log)
	}
}

func TestP05_CancelOfAForeignProgramCutsItsCallsOff(t *testing.T) {
	parallel(t)
	log := newNoticing()
	err := host.OpenNursery(t.Context(), host.Options{Log: log.logger()}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		var called error
		waiting := task.Start(func() { _, called = get(ctx, f.Services(), "wait") })
		if err := log.await(ctx, "waiting"); err != nil {
			return err
		}
		if err := f.Cancel(ctx, "done"); err != nil {
			return err
		}
		waiting.Wait()
		if !errors.Is(called, fault.ErrActorClosing) || status.Code(called) != codes.Unavailable {
			t.Errorf("the call in flight failed with %v", called)
		}
		if _, err := get(ctx, f.Services(), "pid"); !errors.Is(err, fault.ErrActorClosing) {
			t.Errorf("a later call failed with %v", err)
		}
		return f.Cancel(ctx, "done") // again
	})
	if err != nil {
		t.Fatal(err)
	}
}
