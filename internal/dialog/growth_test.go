package dialog

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// stretch is a window between a sender and a reader, without anything in flight.
type stretch struct {
	out outflow
	in  inflow
}

func newStretch(w Window, overflow wire.Overflow) *stretch {
	s := &stretch{in: newInflow(w, nil)}
	s.out.announce(s.in.window)
	s.in.open(Window{}, overflow, 0)
	s.out.attach(s.in.window, overflow)
	return s
}

// send sends one message if it may.
func (s *stretch) send() bool {
	if s.out.ask(1) != sendIt {
		return false
	}
	return s.in.arrive([]byte{1}, false) == kept
}

// take takes one, and reports false if there is none. deaf senders do not hear that
// the window has grown.
func (s *stretch) take(t interface{ Fatal(why ...any) }, deaf bool) bool {
	_, credit, ok := s.in.take()
	if credit != nil {
		if !deaf {
			s.out.grow(s.in.window)
		}
		if !s.out.grant(credit) {
			t.Fatal("more credit than was used")
		}
	}
	return ok
}

// A reader that is slower than its sender has the window that it began with, also if the
// sender makes pauses in which it catches up.
func TestM05_SlowReaderOfBurstsHasNoMore(t *testing.T) {
	s := newStretch(Window{}, wire.Overflow_OVERFLOW_WAIT)
	for range 20 {
		for range 5000 {
			for !s.send() {
				s.take(t, false)
			}
		}
		for s.take(t, false) {
		}
	}
	if s.in.window.Messages != DefaultMessages {
		t.Errorf("the window has grown to %d messages", s.in.window.Messages)
	}
}

// One that empties the buffer each time that its sender waits for it gets a larger one,
// unless the sender waits for nothing.
func TestM05_WindowOfAFastReader(t *testing.T) {
	for name, c := range map[string]struct {
		window   Window
		overflow wire.Overflow
		want     int
	}{
		"by default":           {Window{}, wire.Overflow_OVERFLOW_WAIT, MostMessages},
		"set":                  {Window{Messages: 10}, wire.Overflow_OVERFLOW_WAIT, 10},
		"with a cap":           {Window{Most: 100}, wire.Overflow_OVERFLOW_WAIT, 100},
		"set, with a cap":      {Window{Messages: 1, Most: 3}, wire.Overflow_OVERFLOW_WAIT, 3},
		"capped below":         {Window{Most: 7}, wire.Overflow_OVERFLOW_WAIT, DefaultMessages},
		"without backpressure": {Window{}, wire.Overflow_OVERFLOW_FAIL, DefaultMessages},
		"with overruns":        {Window{}, wire.Overflow_OVERFLOW_KEEP, DefaultMessages},
	} {
		s := newStretch(c.window, c.overflow)
		for range 30 { // two for each doubling
			for range s.in.window.Messages {
				s.send()
			}
			for s.take(t, false) {
			}
		}
		if s.in.window.Messages != c.want {
			t.Errorf("%s: the window has %d messages, want %d", name, s.in.window.Messages, c.want)
		}
	}
}

// A sender that takes no notice of growth is slow at worst: both never wait for each
// other.
func TestGrowthThatTheSenderIgnores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStretch(Window{}, wire.Overflow_OVERFLOW_WAIT)
		for range 50 {
			for range rapid.IntRange(0, 200).Draw(t, "sends") {
				s.send()
			}
			for range rapid.IntRange(0, 200).Draw(t, "takes") {
				s.take(t, true)
			}
		}
		for range 3 * MostMessages {
			if s.take(t, true) {
				continue
			}
			if !s.send() {
				t.Fatalf("the sender waits for credit, and the reader for a message: window %d", s.in.window.Messages)
			}
		}
	})
}
