package host

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/logs"
)

// F04: the end of a nursery waits for what is still to be logged, and for no handler that
// waits for the nursery.
func TestF04_WhatIsStillToBeLoggedIsWaitedFor(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{
		0: 0, lastLogs / 2: lastLogs / 2, time.Hour: lastLogs,
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &environment{queue: logs.New(slog.New(slog.DiscardHandler))}
			e.printed.Go(func() { <-time.After(takes) })
			begun := time.Now()
			e.flush()
			if waited := time.Since(begun); waited != want {
				t.Errorf("lines that take %v were awaited for %v, want %v", takes, waited, want)
			}
			e.printed.Wait()
		})
	}
}
