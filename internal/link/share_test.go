package link

import "testing"

// F06: a source's share of what waits is never told too small, and does not grow for ever while others wait, too.
func TestF06_ASharesEndIsNoticed(t *testing.T) {
	var l load
	put := func(from string, bytes int) {
		s := l.share(from)
		l.add(bytes)
		s.since += bytes
	}
	waits := func(from string) int { s := l.share(from); return s.before + s.since }
	put("a", 10)
	put("b", 100)
	put("a", 10)
	if a, b := waits("a"), waits("b"); a != 20 || b != 100 {
		t.Errorf("F06: of 20 and 100, %d and %d", a, b)
	}
	for range 1000 { // each 10 that come go, behind those that wait
		put("a", 10)
		l.drop(10)
		if a := waits("a"); a < 20 || a > 2*130 {
			t.Fatalf("F06: %d of %d that wait", a, l.bytes)
		}
	}
	l.drop(l.bytes)
	if waits("a"); waits("a") != 0 {
		t.Errorf("F06: %d of nothing", waits("a"))
	}
}
