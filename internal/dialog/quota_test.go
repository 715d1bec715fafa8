package dialog

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// held is what an account keeps, as the quota counts it.
func (in *inflow) held() int { return amount{Messages: len(in.queue), Bytes: in.queued}.cost() }

// zeroes is what messages of any size are made of, so that a test of their bounds needs no memory.
var zeroes = make([]byte, 64<<20)

// What the windows of a link are, one after the other. Each has the least, however many there are.
func TestF06_WindowsThatAreLent(t *testing.T) {
	whole := amount{Messages: DefaultMessages, Bytes: DefaultBytes}
	for name, c := range map[string]struct {
		set         Window
		first, last amount // of a link's 4,096
		whole       int    // how many are as they were set
	}{
		"default":           {Window{}, whole, guaranteed, 24},
		"smaller than that": {Window{Messages: 3, Bytes: 100}, amount{3, 100}, amount{3, 100}, 4096},
		"large": {
			Window{Messages: 1000, Bytes: 64 << 20}, amount{1000, 64 << 20}, guaranteed, 1,
		},
		"larger than a link's": {
			Window{Messages: 1 << 40, Bytes: 1 << 40}, amount{1 << 18, 1 << 18}, guaranteed, 0,
		},
		"of many messages": {Window{Messages: 8192}, amount{8192, DefaultBytes}, guaranteed, 16},
	} {
		t.Run(name, func(t *testing.T) {
			var q quota
			var all [link.DefaultMaxDialogs]inflow
			sum, got := 0, 0
			for i := range all {
				all[i] = newInflow(c.set, &q)
				sum += all[i].window.cost()
				if all[i].window == c.set.orDefault() {
					got++
				}
			}
			first, last := all[0].window, all[len(all)-1].window
			if first != c.first || last != c.last || got != c.whole {
				t.Errorf("the first window is %v, the last %v, and %d are as they were set", first, last, got)
			}
			if sum > mostWindows-keptFree {
				t.Errorf("all have %d MiB", sum>>20)
			}
			for i := range all {
				all[i].close()
				all[i].close()
			}
			if q.lent.Load() != 0 {
				t.Errorf("%d bytes were not given back", q.lent.Load())
			}
		})
	}
}

// A window that was not to be had grows with what it passes on: into what is kept for that, and into
// what others give back. Nobody waits for it, and its sender learns of all that it gets.
func TestF06_AWindowGrowsWhenThereIsRoom(t *testing.T) {
	var q quota
	others := make([]inflow, link.DefaultMaxDialogs)
	for i := range others {
		others[i] = newInflow(Window{}, &q)
	}
	in := newInflow(Window{}, &q)
	s := stretch{in: in}
	s.out.announce(in.window)
	s.in.attached, s.out.attached = true, true
	passes := func() {
		for range 100 {
			for s.out.ask(100) == sendIt {
				s.in.arrive(zeroes[:100], false)
			}
			for s.take(t, false) {
			}
		}
	}
	passes()
	if want := (amount{Messages: MostMessages, Bytes: DefaultBytes}); s.in.window != want || s.out.window != want {
		t.Errorf("%v of what is kept free, %v is known to the sender; want %v", s.in.window, s.out.window, want)
	}
	q.lent.Store(mostLent)
	s.in = newInflow(Window{}, &q)
	s.in.attached, s.out = true, outflow{attached: true}
	s.out.resize(s.in.window)
	if passes(); s.in.window != guaranteed {
		t.Errorf("%v although nothing is to be had", s.in.window)
	}
	q.lent.Store(0)
	if passes(); s.in.window.Bytes != DefaultBytes || s.out.window != s.in.window {
		t.Errorf("%v when all is to be had, %v is known to the sender", s.in.window, s.out.window)
	}
}

// Thousands of streams that nobody reads, and senders who send all that they may: together they
// hold what one link may hold. When they are read, everything comes through, also what is larger
// than the window.
func TestF06_ManyUnreadStreams(t *testing.T) {
	for name, size := range map[string]int{"empty messages": 0, "of 100 bytes": 100, "of 4 KiB": 4 << 10, "of 40 KiB": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			var q quota
			all := make([]stretch, link.DefaultMaxDialogs)
			held := 0
			for i := range all {
				s := &all[i]
				s.in = newInflow(Window{}, &q)
				s.out.announce(s.in.window)
				s.in.open(Window{}, wire.Overflow_OVERFLOW_WAIT, 0)
				s.out.attach(s.in.window, wire.Overflow_OVERFLOW_WAIT)
				for s.out.ask(size) == sendIt {
					if became := s.in.arrive(zeroes[:size], false); became != kept {
						t.Fatalf("a message of an honest sender: %v", became)
					}
				}
				held += s.in.held()
			}
			if held > mostWindows+int(q.beyond.Load()) || q.beyond.Load() > mostBeyond+int64(size) {
				t.Errorf("%d MiB are held, %d MiB of them beyond windows", held>>20, q.beyond.Load()>>20)
			}
			for i := range all {
				for s, sent := &all[i], 0; sent < 70; {
					if s.take(t, false) {
						continue
					}
					if s.out.ask(size) != sendIt || s.in.arrive(zeroes[:size], false) != kept {
						t.Fatalf("stream %d: the sender waits for credit, and the reader for a message; window %v", i, s.in.window)
					}
					sent++
				}
			}
		})
	}
}

// Whatever comes: what the streams of a link hold is within their windows and what may wait
// beyond, the windows are within the total, and nothing stays counted when all have ended.
func TestF06_QuotaOfHostileSenders(t *testing.T) {
	const streams = 8
	rapid.Check(t, func(t *rapid.T) {
		q := new(quota)
		var all [streams]inflow
		some := func(t *rapid.T) *inflow { return &all[rapid.IntRange(0, streams-1).Draw(t, "stream")] }
		size := func(name string) int {
			return rapid.SampledFrom([]int{0, 1, 10_000, 1 << 20, 40 << 20, 64 << 20}).Draw(t, name)
		}
		window := func() Window {
			return Window{Messages: rapid.IntRange(0, 1<<20).Draw(t, "messages"), Bytes: 4 * size("bytes"), Most: rapid.IntRange(0, 1<<20).Draw(t, "most")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				in := some(t)
				in.close()
				*in = newInflow(window(), q)
			},
			"open": func(t *rapid.T) {
				if in := some(t); in.quota != nil && !in.attached && !in.deaf {
					in.open(window(), wire.Overflow(rapid.IntRange(0, 2).Draw(t, "mode")), 4*size("keep"))
				}
			},
			"arrive": func(t *rapid.T) {
				some(t).arrive(zeroes[:size("size")], rapid.Bool().Draw(t, "probe"))
			},
			"take":  func(t *rapid.T) { some(t).take() },
			"close": func(t *rapid.T) { some(t).close() },
			"": func(t *rapid.T) {
				lent, held, beyond := 0, 0, 0
				for i := range all {
					if in := &all[i]; in.quota != nil {
						lent += in.lent.cost() - guaranteed.cost()
						held += in.held()
						beyond += in.beyond
					}
				}
				if lent != int(q.lent.Load()) || lent > mostLent {
					t.Fatalf("%d bytes are lent, %d are counted, the bound is %d", lent, q.lent.Load(), mostLent)
				}
				if beyond != int(q.beyond.Load()) || beyond > mostBeyond+len(zeroes)+perMessage {
					t.Fatalf("%d bytes wait beyond windows, %d are counted", beyond, q.beyond.Load())
				}
				if most := lent + streams*guaranteed.cost() + beyond; held > most {
					t.Fatalf("%d bytes are held, the windows and what is beyond are %d", held, most)
				}
			},
		})
		for i := range all {
			all[i].close()
		}
		if q.lent.Load() != 0 || q.beyond.Load() != 0 {
			t.Fatalf("all have ended, and %d bytes are lent, %d beyond", q.lent.Load(), q.beyond.Load())
		}
	})
}
