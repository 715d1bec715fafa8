package page

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// flushes counts packets.
type flushes struct {
	*httptest.ResponseRecorder
	n atomic.Int64
}

func (f *flushes) Flush() { f.n.Add(1) }

// A message that comes alone is sent at once, and many go in one packet, not later than the pace. After the end nothing is sent.
func TestMessagesThatComeTogetherAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flushes{ResponseRecorder: httptest.NewRecorder()}
		s := beginStream(f)
		time.Sleep(time.Second) // nothing comes
		put := func() {
			s.put(0, "", []byte("1"))
			if err := s.soon(); err != nil {
				t.Error(err)
			}
		}
		want := func(n int64, what string) {
			t.Helper()
			synctest.Wait()
			if f.n.Load() != n {
				t.Errorf("%s: %d packets, want %d", what, f.n.Load(), n)
			}
		}
		put()
		want(2, "the first message, behind the header")
		for range 100 {
			put()
		}
		want(2, "those that follow it at once")
		time.Sleep(pace)
		want(3, "those that follow it at once, after the pace")
		time.Sleep(time.Second)
		want(3, "when nothing comes")
		put()
		put()
		s.close()
		want(5, "at the end")
		time.Sleep(time.Second)
		want(5, "after the end")
		if s.put(0, "", []byte("2")); s.soon() == nil || strings.Contains(f.Body.String(), "2") {
			t.Error("something is sent after the end")
		}
	})
}
