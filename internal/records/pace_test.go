package records_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// O02: a loop of a viewer has what comes in a quiet time at once, and does not look for each of many. What comes while it rests is not lost: it
// rests no longer when there is much, or when the store, or its ctx, ends.
func TestO02_ALoopRestsWhenMuchComes(t *testing.T) {
	for name, ctxEnds := range map[string]bool{"the store ends": false, "its ctx ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := records.New("", 1000, 0, nil)
				ctx, cancel := context.WithCancel(task.Unhurried(t.Context()))
				defer cancel()
				var given, looks atomic.Int64
				said, last := 0, time.Time{}
				f := all
				f.Follow = true
				loop := task.Start(func() {
					for r, err := range s.Watch(ctx, f) {
						if want := fmt.Sprint(given.Add(1) - 1); err != nil || r.Text != want {
							t.Errorf("O02: it is given %q, %v; want %q", r.Text, err, want)
						}
						if !time.Now().Equal(last) {
							last = time.Now()
							looks.Add(1)
						}
					}
				})
				say := func(n int) (had int) {
					for range n {
						put(s, "a", fmt.Sprint(said))
						said++
					}
					synctest.Wait()
					return int(given.Load())
				}
				for range 50 { // 20 a second
					time.Sleep(50 * time.Millisecond)
					if had := say(1); had != said {
						t.Fatalf("O02: in a quiet time it has %d of %d", had, said)
					}
				}
				looks.Store(0)
				had := 0
				for range 2000 { // 1,000 a second, and never in the moment in which a rest is over
					time.Sleep(999 * time.Microsecond)
					had = say(1)
				}
				if looks := looks.Load(); looks < 100 || looks > 120 || said-had > 20 {
					t.Errorf("O02: in two seconds it looks %d times, and has %d of %d", looks, had, said)
				}
				if had := say(256); said-had > 256 || had < said-256+1 {
					t.Errorf("O02: when a batch has come it has %d of %d", had, said)
				}
				time.Sleep(21 * time.Millisecond)
				for range 20 { // it looks for each of the first, and rests then
					had = say(1)
				}
				if had == said {
					t.Error("O02: it does not rest")
				}
				ended := time.Now()
				if ctxEnds {
					cancel()
				} else {
					s.Finish()
				}
				loop.Wait()
				if had := int(given.Load()); had != said || !time.Now().Equal(ended) {
					t.Errorf("O02: at the end it has %d of %d, after %v", had, said, time.Since(ended))
				}
			})
		})
	}
}
