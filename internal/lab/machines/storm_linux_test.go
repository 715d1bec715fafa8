//go:build lab

package machines_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// One blow after the other, chosen by a seed, to the same tree: after each there is a holder again, and never are there two. There
// are 10 of them, or TRELLIS_BLOWS; TRELLIS_SEED chooses others.
func TestD20_ManyBlows(t *testing.T) {
	count, seed := number(t, "TRELLIS_BLOWS", 10), number(t, "TRELLIS_SEED", 1)
	chance := rand.New(rand.NewPCG(uint64(seed), 0))
	w := newWorld(t, 1, "b", "c")
	all, struck := blows(), map[string]int{}
	var worst time.Duration
	for range count {
		b := all[chance.IntN(len(all))]
		before := w.holder()
		at := w.machineOf(before)
		begun := time.Now()
		b.strike(w, at, before)
		w.gone(before)
		if after := w.holder(); after.PID == before.PID && after.Machine == before.Machine {
			t.Fatalf("%s: the holder is the same: %+v", b.name, after)
		}
		worst = max(worst, time.Since(begun))
		b.heal(w, at, before)
		struck[b.name]++
	}
	t.Logf("seed %d: %v; the longest time until there was a holder again was %v", seed, struck, worst.Round(time.Millisecond))
}

// number is that of a variable of the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
