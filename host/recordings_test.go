package host

import (
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/recording"
)

// Writers that hang hold the end of a nursery for as long as one of them does, however many there are.
func TestRecordingsThatHangEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := environment{taps: map[string]*recording.Recorder{}}
		var readers []*io.PipeReader
		for _, name := range []string{"a", "b", "c"} {
			unread, hangs := io.Pipe()
			readers = append(readers, unread)
			e.taps[name] = recording.New(hangs, name, slog.New(slog.DiscardHandler))
		}
		before := time.Now()
		e.endRecordings()
		if took := time.Since(before); took != 5*time.Second {
			t.Errorf("three writers that hang held the end for %v, one does for 5s", took)
		}
		for _, r := range readers { // writes fail from now on
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
