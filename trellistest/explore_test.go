package trellistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// upload stores what is sent to it, says now and then how much that is, and returns how much it
// has stored. It is the demonstration plugin of the exploration.
var upload = contract.Context[struct{}, struct{}, string, int, int]("upload")

type (
	uploadOpener = contract.Opener[struct{}, string, int, int]
	uploadCallee = contract.Callee[struct{}, string, int]
)

// bug is one that is planted in the store.
type bug string

const (
	noBug          bug = ""
	ignoredCtx     bug = "ignored ctx"
	lostRecvError  bug = "lost Recv error"
	sendAfterClose bug = "send after close"
	// Those of the test itself.
	deadlock bug = "deadlock"
	panics   bug = "panic"
)

// store keeps uploads. One that is not complete must not be kept.
type store struct {
	bug  bug
	kept []string
}

func (s *store) upload(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
	if err := c.Started(struct{}{}); err != nil {
		return 0, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	var received atomic.Int32
	over := make(chan struct{})
	c.Go(func(ctx context.Context) error { return s.tell(ctx, stream, &received, over) })
	var all []string
	for {
		chunk, err := stream.Recv(ctx)
		if errors.Is(err, io.EOF) || (err != nil && s.bug == lostRecvError) {
			break
		}
		if err != nil {
			return 0, err
		}
		all = append(all, chunk)
		received.Add(1)
	}
	if s.bug == sendAfterClose {
		stream.CloseSend() // and the task that tells the progress still runs
		<-time.After(time.Millisecond)
	}
	close(over)
	s.kept = all
	return len(all), nil
}

// tell tells how much has come, until the upload is over.
func (s *store) tell(ctx context.Context, stream *contract.Stream[int, string], received *atomic.Int32, over <-chan struct{}) error {
	done := ctx.Done()
	if s.bug == ignoredCtx {
		done = nil
	}
	for {
		select {
		case <-time.After(5 * time.Millisecond):
			if err := stream.Send(ctx, int(received.Load())); err != nil && s.bug != ignoredCtx {
				return err
			}
		case <-over:
			return nil
		case <-done:
			return context.Cause(ctx)
		}
	}
}

// send uploads chunks.
func send(ctx context.Context, a *trellistest.Actor, chunks []string) (int, error) {
	return upload.Open(ctx, a, struct{}{}, func(ctx context.Context, c *uploadOpener) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		c.Go(func(ctx context.Context) error {
			for _, err := range stream.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		for _, chunk := range chunks {
			if err := stream.Send(ctx, chunk); err != nil {
				return err
			}
			<-time.After(time.Millisecond) // it reads the next one from a disk
		}
		stream.CloseSend()
		_, err = c.Wait(ctx)
		return err
	})
}

// breakTest plants a bug in the test, which shows with the second seed.
func (s *store) breakTest(seed uint64) {
	if seed < 2 {
		return
	}
	switch s.bug {
	case deadlock:
		<-make(chan struct{})
	case panics:
		panic("the test is wrong")
	case noBug, ignoredCtx, lostRecvError, sendAfterClose:
	}
}

const bugVariable = "TRELLISTEST_DEMO_BUG" // set where this program runs itself

// What must hold of the store in every schedule: an upload succeeds, or there is an excuse; and
// only whole uploads are kept.
func TestTheStoreInManySchedules(t *testing.T) {
	trellistest.Explore(t, 100, func(t *testing.T, s *trellistest.Schedule) {
		planted := &store{bug: bug(os.Getenv(bugVariable))}
		a := trellistest.Plugin{Name: "store", Endpoints: []contract.Handler{upload.Handle(planted.upload)}}.Serve(t)
		planted.breakTest(s.Seed())
		chunks := make([]string, 1+s.Rand().IntN(20))
		n, err := send(t.Context(), a, chunks)
		if err != nil && !s.Excuses(err) {
			t.Errorf("the upload: %v", err)
		}
		if err == nil && n != len(chunks) {
			t.Errorf("%d chunks of %d have been stored", n, len(chunks))
		}
		if s.Excuses(err) {
			<-a.Done()
		}
		if kept := len(planted.kept); kept != 0 && kept != len(chunks) {
			t.Errorf("%d chunks of %d are kept", kept, len(chunks))
		}
	})
}

var seedInOutput = regexp.MustCompile(`seed (\d+) fails; repeat it with\s+go test -run '(\S+)' -trellis\.seed=(\d+) \.`)

// Each bug that is planted in the store is found within 100 seeds, and the seed finds it again.
func TestExploreFindsPlantedBugs(t *testing.T) {
	for bug, says := range map[bug]string{
		ignoredCtx:     "it has not ended 10s after it was told to; handlers that do not look at their ctx have: upload",
		lostRecvError:  "are kept",
		sendAfterClose: "stream closed",
		deadlock:       "a deadlock: all goroutines in bubble are blocked; they wait for something that nobody does any more",
		panics:         "panic: the test is wrong",
	} {
		t.Run(string(bug), func(t *testing.T) {
			output := runDemo(t, bug)
			found := seedInOutput.FindStringSubmatch(output)
			if found == nil || !strings.Contains(output, says) {
				t.Fatalf("it was not found, or not called %q:\n%s", says, output)
			}
			seed, err := strconv.Atoi(found[3])
			if err != nil || seed > 100 || found[1] != found[3] || found[2] != "^TestTheStoreInManySchedules$" {
				t.Errorf("%q", found)
			}
			t.Logf("%s: seed %d", bug, seed)
			again := runDemo(t, bug, "-trellis.seed="+found[3], "-test.count=3")
			if n := strings.Count(again, fmt.Sprintf("seed %d fails", seed)); n != 3 || strings.Count(again, says) != 3 {
				t.Errorf("seed %d has failed %d times of 3:\n%s", seed, n, again)
			}
		})
	}
}

// runDemo runs the test of the store in a process of its own, which is to fail.
func runDemo(t *testing.T, b bug, flags ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append(flags, "-test.run=^TestTheStoreInManySchedules$")...)
	cmd.Env = append(os.Environ(), bugVariable+"="+string(b))
	output, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Fatalf("the test with the bug: %v\n%s", err, output)
	}
	return string(output)
}
