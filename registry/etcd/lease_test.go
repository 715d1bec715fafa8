package etcd

import (
	"testing"
	"time"
)

const s = time.Second

// A lease of 10 s with a margin of 2 s, granted by a request that was sent at 100 s: the registry keeps all until 109.8 s at
// least, and the membership is lost at 107.8 s.
func TestLease(t *testing.T) {
	for name, c := range map[string]struct {
		steps       func(l *lease)
		until, next time.Duration
		at          time.Duration
		lost        bool
		patience    time.Duration
	}{
		"granted":            {func(*lease) {}, 109800 * time.Millisecond, 100*s + 10*s/6, 100 * s, false, 2 * s},
		"nearly lost":        {func(*lease) {}, 109800 * time.Millisecond, 100*s + 10*s/6, 107*s + 799*time.Millisecond, false, time.Millisecond},
		"lost":               {func(*lease) {}, 109800 * time.Millisecond, 100*s + 10*s/6, 107*s + 800*time.Millisecond, true, 0},
		"renewed":            {func(l *lease) { l.renewed(105*s, 10*s) }, 114800 * time.Millisecond, 105*s + 10*s/6, 108 * s, false, 2 * s},
		"by an old answer":   {func(l *lease) { l.renewed(105*s, 10*s); l.renewed(103*s, 10*s) }, 114800 * time.Millisecond, 105*s + 10*s/6, 108 * s, false, 2 * s},
		"for less":           {func(l *lease) { l.renewed(101*s, 4*s) }, 109800 * time.Millisecond, 100*s + 10*s/6, 104 * s, false, 2 * s},
		"not answered":       {func(l *lease) { l.failed(102 * s) }, 109800 * time.Millisecond, 102*s + 10*s/12, 102 * s, false, 2 * s},
		"renewed too late":   {func(l *lease) { l.expired(108 * s); l.renewed(107*s, 10*s) }, 109800 * time.Millisecond, 100*s + 10*s/6, 107 * s, true, 800 * time.Millisecond},
		"stays lost":         {func(l *lease) { l.expired(200 * s) }, 109800 * time.Millisecond, 100*s + 10*s/6, 100 * s, true, 2 * s},
		"after a long sleep": {func(*lease) {}, 109800 * time.Millisecond, 100*s + 10*s/6, 1000 * s, true, 0},
	} {
		l := newLease(100*s, 10*s, 2*s)
		c.steps(&l)
		if p := l.patience(c.at); p != c.patience {
			t.Errorf("%s: patience %v, want %v", name, p, c.patience)
		}
		if lost := l.expired(c.at); l.until() != c.until || l.next != c.next || lost != c.lost {
			t.Errorf("%s: until %v, next %v, lost %v; want %v, %v, %v", name, l.until(), l.next, lost, c.until, c.next, c.lost)
		}
	}
}

func TestClockGoesOn(t *testing.T) {
	for last := now(); ; {
		next := now()
		if next < last {
			t.Fatalf("the clock went from %v to %v", last, next)
		}
		if next > last {
			return
		}
	}
}

// A failure that goes on is told after 0, 1, 3, 7, 15, 31, 63 seconds, and then every minute.
func TestWarnings(t *testing.T) {
	var w warnings
	var told []time.Duration
	for at := time.Duration(0); at < 200*s; at += s / 2 {
		if w.due(at) {
			told = append(told, at)
		}
	}
	want := []time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s, 183 * s}
	if len(told) != len(want) {
		t.Fatalf("told at %v, want %v", told, want)
	}
	for i := range want {
		if told[i] != want[i] {
			t.Errorf("told at %v, want %v", told, want)
		}
	}
	if !w.over() || w.over() || !w.due(200*s) {
		t.Error("a failure that is over is told once, and a new one at once")
	}
}
