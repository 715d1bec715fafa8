package directory_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// A viewer's loop over events has what comes in a quiet time at once, and does not look for each of many. What comes while it rests is not lost: it
// rests no longer when there is much, or when the registry, or its ctx, ends.
func TestO01_ALoopRestsWhenMuchComes(t *testing.T) {
	for name, ctxEnds := range map[string]bool{"the registry ends": false, "its ctx ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTree(t)
				busy := r.join("busy").up() // three events
				ctx, cancel := context.WithCancel(task.Unhurried(r.ctx))
				defer cancel()
				var given, looks atomic.Int64
				given.Store(2) // it begins with the third
				told, last := 3, time.Time{}
				loop := task.Start(func() {
					for e, err := range r.Watch(ctx, "") {
						if e.Path == "" && err == nil {
							continue
						}
						if want := given.Add(1); err != nil || int64(e.Seq) != want {
							t.Errorf("O01: it is given event %d, %v; want %d", e.Seq, err, want)
						}
						if !time.Now().Equal(last) {
							last = time.Now()
							looks.Add(1)
						}
					}
				})
				tell := func(n int) (had int) {
					for range n {
						busy.to(directory.Unhealthy, "", nil)
						told++
					}
					synctest.Wait()
					return int(given.Load())
				}
				for range 50 { // 20 a second
					time.Sleep(50 * time.Millisecond)
					if had := tell(1); had != told {
						t.Fatalf("O01: in a quiet time it has %d of %d", had, told)
					}
				}
				looks.Store(0)
				had := 0
				for range 2000 { // 1,000 a second, and never in the moment in which a rest is over
					time.Sleep(999 * time.Microsecond)
					had = tell(1)
				}
				if looks := looks.Load(); looks < 100 || looks > 120 || told-had > 20 {
					t.Errorf("O01: in two seconds it looks %d times, and has %d of %d", looks, had, told)
				}
				if had := tell(100); told-had > 64 {
					t.Errorf("O01: when many have come it has %d of %d", had, told)
				}
				time.Sleep(21 * time.Millisecond)
				for range 20 { // it looks for each of the first, and rests then
					had = tell(1)
				}
				if had == told {
					t.Error("O01: it does not rest")
				}
				ended := time.Now()
				if ctxEnds {
					cancel()
				} else {
					r.Finish()
				}
				loop.Wait()
				if had := int(given.Load()); had != told || !time.Now().Equal(ended) {
					t.Errorf("O01: at the end it has %d of %d, after %v", had, told, time.Since(ended))
				}
			})
		})
	}
}
