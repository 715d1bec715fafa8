package host

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// V07: slow is not dead. A child that could run and was not let has more time to answer,
// but not for ever; one that is stopped, sleeps or spins has not.
func TestV07_TimeWithoutAProcessorDoesNotCount(t *testing.T) {
	const bound = time.Second
	for name, c := range map[string]struct {
		starved func(passed time.Duration) time.Duration
		want    time.Duration
	}{
		"stopped or spinning":  {func(time.Duration) time.Duration { return 0 }, bound},
		"starved before":       {func(time.Duration) time.Duration { return time.Hour }, bound},
		"starved half of it":   {func(passed time.Duration) time.Duration { return passed / 2 }, 3 * bound / 2},
		"starved for a while":  {func(passed time.Duration) time.Duration { return min(passed, 5*bound) }, 11 * bound / 2},
		"starved all the time": {func(passed time.Duration) time.Duration { return 4 * passed }, mostAnswerBounds * bound},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			_, ok := answerBoundOver(t.Context(), bound, func() time.Duration { return c.starved(time.Since(begun)) })
			if waited := time.Since(begun); !ok || (waited-c.want).Abs() > bound/50 {
				t.Errorf("%s: it waited %v, want %v", name, waited, c.want)
			}
		})
	}
}

// An answer ends the wait at once, and asks the system nothing.
func TestV07_AnswerInTimeCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, answered := context.WithTimeout(t.Context(), time.Millisecond)
		defer answered()
		if _, ok := answerBoundOver(ctx, time.Second, func() time.Duration { panic("it was asked") }); ok {
			t.Error("the bound is said to be over")
		}
	})
}

// Checks of children that have come up at different moments are made at few of them, and none comes later for that.
func TestV07_ChecksAreInStep(t *testing.T) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, interval := range []time.Duration{1, 50 * time.Millisecond, 2 * time.Second} {
		moments := map[int64]bool{}
		for i := range int64(100) {
			now := at.Add(time.Duration(int64(interval) * i / 100))
			step := inStep(now, interval)
			if behind := now.Sub(step); behind < 0 || behind > interval/20 {
				t.Errorf("%v: %v behind", interval, behind)
			}
			moments[step.UnixNano()] = true
		}
		if len(moments) > 20 {
			t.Errorf("%v: %d moments for 100 children", interval, len(moments))
		}
	}
}
