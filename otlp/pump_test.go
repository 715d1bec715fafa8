package otlp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// pumped runs a pump on fake time over what all gives, and returns what it has told.
func pumped(all iter.Seq2[int, error], send func(ctx context.Context, batch []int) (int64, string, error)) (told []string) {
	var mu sync.Mutex // both ends of a pump tell
	p := newPump("numbers", "there", func(*int) int { return 1 << 10 }, send, func(level slog.Level, text string, attrs ...slog.Attr) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(level, " ", text, " ", attrs))
	})
	settled := make(chan struct{})
	close(settled)
	reading := task.Start(func() { p.read(all, settled) })
	p.run(context.Background())
	reading.Wait()
	return told
}

// What is left when its time is over is lost for the reason that it could not be sent before, if it was tried.
func TestO02_WhyTheLastIsLost(t *testing.T) {
	for reason, failure := range map[string]error{
		"its time is over; until then the collector did not take them: rpc error: code = Unavailable desc = connection refused": status.Error(codes.Unavailable, "connection refused"),
		"its time is over": nil, // it hangs until then
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("its time is over"))
			defer cancel()
			var told []string
			p := newPump("numbers", "there", func(*int) int { return 1 }, func(ctx context.Context, _ []int) (int64, string, error) {
				if failure == nil {
					<-ctx.Done()
				}
				return 0, "", cmp.Or(ctx.Err(), failure)
			}, func(_ slog.Level, text string, attrs ...slog.Attr) { told = append(told, fmt.Sprint(text, " ", attrs)) })
			p.items <- item[int]{value: 1}
			close(p.items)
			p.run(ctx)
			if want := "numbers have not reached the collector [missed=1 reason=" + reason + " endpoint=there]"; len(told) == 0 || told[len(told)-1] != want {
				t.Errorf("O02: it was told %q, want %q", told, want)
			}
		})
	}
}

// What comes within a second goes out together, as far as there is room in a request.
func TestO02_Batches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, got := time.Now(), []string{}
		told := pumped(func(yield func(int, error) bool) {
			for _, n := range []int{1, 2, mostInBatch + 3} {
				for range n {
					yield(n, nil)
				}
				time.Sleep(5 * time.Second)
			}
		}, func(_ context.Context, batch []int) (int64, string, error) {
			got = append(got, fmt.Sprint(len(batch), " after ", time.Since(begun)))
			return 0, "", nil
		})
		if want := []string{"1 after 1s", "2 after 6s", fmt.Sprint(mostInBatch, " after 10s"), "3 after 11s"}; !slices.Equal(got, want) || told != nil {
			t.Errorf("O02: sent %v, want %v; told %q", got, want, told)
		}
	})
}

// A request that has failed is made again, with pauses that grow, or as the collector wishes; that it does not work is told once,
// and so is that it works again.
func TestO02_Retries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begun := time.Now()
		patient, err := status.New(codes.ResourceExhausted, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		told := pumped(func(yield func(int, error) bool) { yield(1, nil) }, func(context.Context, []int) (int64, string, error) {
			at = append(at, time.Since(begun))
			switch len(at) {
			case 3:
				return 0, "", patient.Err()
			case 12:
				return 0, "", nil
			}
			return 0, "", status.Error(codes.Unavailable, "down")
		})
		for i := 1; i < len(at); i++ {
			pause, longest := at[i]-at[i-1], min(firstPause<<(i-1), longestPause)
			if i == 3 {
				longest = 20 * time.Second
				pause = pause * 4 / 5 // which is exactly that
			}
			if pause > longest || pause < longest*3/4 {
				t.Errorf("O02: the pause %d is %v, want nearly %v", i, pause, longest)
			}
		}
		want := []string{
			"WARN the collector does not take numbers, which wait for it [endpoint=there error=rpc error: code = Unavailable desc = down]",
			"INFO the collector takes numbers again [endpoint=there]",
		}
		if len(at) != 12 || !slices.Equal(told, want) {
			t.Errorf("O02: %d tries; told %q", len(at), told)
		}
	})
}

// What is lost is counted: what its source does not keep, and what the collector refuses, as a whole or some of it. Of many
// losses it is told now and then.
func TestO02_Losses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		told := pumped(func(yield func(int, error) bool) {
			for range 8 {
				yield(0, &fault.Lagged{Missed: 100})
				yield(1, nil)
				time.Sleep(4 * time.Second)
			}
			yield(0, errors.New("the link is lost"))
		}, func(context.Context, []int) (int64, string, error) {
			switch sent++; sent {
			case 2:
				return 1, "too old", nil
			case 3, 4:
				return 0, "", &statusError{code: http.StatusUnauthorized, text: "401"}
			}
			return 0, "", nil
		})
		want := []string{
			"WARN numbers have not reached the collector [missed=100 reason=the collector takes them more slowly than they come endpoint=there]",
			"WARN the collector refuses numbers [endpoint=there error=401]",
			"INFO the collector takes numbers again [endpoint=there]",
			"WARN numbers have not reached the collector [missed=403 reason=the collector takes them more slowly than they come endpoint=there]",
			"WARN numbers have not reached the collector [missed=300 reason=the collector takes them more slowly than they come endpoint=there]",
			"ERROR no more numbers go to the collector [endpoint=there error=the link is lost]",
		}
		slices.Sort(told)
		slices.Sort(want)
		if !slices.Equal(told, want) {
			t.Errorf("O02: told\n%q\nwant\n%q", told, want)
		}
	})
}

func TestO02_WhatPasses(t *testing.T) {
	for _, c := range []struct {
		err    error
		wish   time.Duration
		passes bool
	}{
		{status.Error(codes.Unavailable, ""), 0, true},
		{status.Error(codes.DeadlineExceeded, ""), 0, true},
		{status.Error(codes.ResourceExhausted, "too large"), 0, false},
		{status.Error(codes.Unauthenticated, ""), 0, false},
		{&statusError{code: 429, again: 3 * time.Second}, 3 * time.Second, true},
		{&statusError{code: 503, again: time.Hour}, mostWish, true},
		{&statusError{code: 413}, 0, false},
		{&brokenError{errors.New("connection refused")}, 0, true},
		{errors.New("cannot be encoded"), 0, false},
	} {
		if wish, passes := passing(c.err); wish != c.wish || passes != c.passes {
			t.Errorf("O02: %v: %v %v, want %v %v", c.err, wish, passes, c.wish, c.passes)
		}
	}
}
