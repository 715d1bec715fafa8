package page

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// flushes counts packets, and writes.
type flushes struct {
	*httptest.ResponseRecorder
	n, writes atomic.Int64
}

func (f *flushes) Flush() { f.n.Add(1) }

func (f *flushes) Write(text []byte) (int, error) {
	f.writes.Add(1)
	return f.ResponseRecorder.Write(text)
}

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
		if n := f.writes.Load(); n != 2 {
			t.Errorf("101 messages take %d writes, want 2", n)
		}
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

// What waits for the next packet is bounded, and what is sent is what was put.
func TestWhatWaitsForTheNextPacketIsBounded(t *testing.T) {
	f := &flushes{ResponseRecorder: httptest.NewRecorder()}
	s := beginStream(f)
	var want strings.Builder
	for i := range 1000 {
		text := strings.Repeat("x", 1000*(1+i%50/49*200)) // each fiftieth is large
		s.put(i, "kind", []byte(text))
		if i > 0 {
			fmt.Fprintf(&want, "id: %d\n", i)
		}
		fmt.Fprintf(&want, "event: kind\ndata: %s\n\n", text)
		if len(s.text) > mostUnwritten || cap(s.text) > 4*mostUnwritten {
			t.Fatalf("%d bytes wait, in %d", len(s.text), cap(s.text))
		}
	}
	if err := s.flush(); err != nil || f.Body.String() != want.String() {
		t.Errorf("%d bytes are sent, %v; want %d", f.Body.Len(), err, want.Len())
	}
}
