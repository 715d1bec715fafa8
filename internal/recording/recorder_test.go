package recording_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// file is a writer that fails when it has got most bytes, if that is not 0, and waits for gate.
type file struct {
	mu   sync.Mutex
	b    bytes.Buffer
	most int
	gate chan struct{}
}

var errFull = errors.New("no space left on device")

func (f *file) Write(b []byte) (int, error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > 0 && f.b.Len()+len(b) > f.most {
		n, _ := f.b.Write(b[:f.most-f.b.Len()])
		return n, errFull
	}
	return f.b.Write(b)
}

// text is what was written, without the times.
func (f *file) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(f.b.String(), "TIME")
}

// talk is a link whose one end is recorded.
type talk struct {
	t            *testing.T
	taped, other link.Transport
}

func record(t *testing.T, r *recording.Recorder, uuid string) talk {
	a, b := pipe.New()
	return talk{t, r.Tap(a, actor.ID{Name: "parser", UUID: uuid}), b}
}

func pack(t *testing.T, frames ...*wire.Frame) wire.Batch {
	t.Helper()
	var b []byte
	var err error
	for _, f := range frames {
		if b, err = wire.AppendFrame(b, f); err != nil {
			t.Fatal(err)
		}
	}
	half := len(b) / 2
	return wire.Batch{b[:half], b[half:]}
}

// says sends frames from the recorded end, and hears sends some to it.
func (c talk) says(frames ...*wire.Frame)  { c.pass(c.taped, c.other, frames) }
func (c talk) hears(frames ...*wire.Frame) { c.pass(c.other, c.taped, frames) }

func (c talk) pass(from, to link.Transport, frames []*wire.Frame) {
	c.t.Helper()
	if err := from.Send(pack(c.t, frames...)); err != nil {
		c.t.Fatal(err)
	}
	if p, err := to.Recv(); err != nil || len(p.Frames) != len(frames) {
		c.t.Fatalf("%v, %v", p, err)
	}
}

// end ends the other side.
func (c talk) end() {
	c.t.Helper()
	if err := c.other.CloseSend(); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.taped.Recv(); !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
}

func start(id uint64, codec, payload string) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_START, Payload: []byte(payload), Start: &wire.Start{Endpoint: "parse", Kind: wire.EndpointKind_ENDPOINT_KIND_FUNC, Codec: codec}}
}

func frame(id uint64, kind wire.Kind, payload string) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: kind, Payload: []byte(payload)}
}

const uuid1, uuid2 = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"

func TestRecorderWritesWhatIsSaid(t *testing.T) {
	var f file
	r := recording.New(&f, "parser", slog.New(slog.DiscardHandler))
	c := record(t, r, uuid1)
	c.says(start(2, "cbor", "\xa1apd/src"), start(4, "json", `{"a":1}`), &wire.Frame{Dialog: 2, Kind: wire.Kind_KIND_CREDIT, Credit: &wire.Window{Messages: 1}})
	c.hears(frame(4, wire.Kind_KIND_RETURN, `"x"`), frame(2, wire.Kind_KIND_ERROR, ""))
	c.says(&wire.Frame{Dialog: 6, Kind: wire.Kind_KIND_YIELD, Payload: []byte("\x65ab"), More: true, Total: 6})
	c.says(frame(0, wire.Kind_KIND_BYE, ""), frame(6, wire.Kind_KIND_YIELD, "cde"))
	d := record(t, r, uuid2)
	d.says(frame(2, wire.Kind_KIND_STOP, ""), frame(2, wire.Kind_KIND_YIELD, "\xff"))
	c.end()
	r.Finish()
	want := `trellis recording 1
== parser@11111111: TIME
-> START 2 {"p": "/src"} start={"endpoint":"parse","kind":"ENDPOINT_KIND_FUNC","codec":"cbor"}
-> START 4 json={"a":1} start={"endpoint":"parse","kind":"ENDPOINT_KIND_FUNC","codec":"json"}
<- RETURN 4 json="x"
<- ERROR 2
-> BYE
-> YIELD 6 "abcde"
== parser@22222222: TIME
-> STOP 2
-> YIELD 2 hex="ff"
== parser@11111111: it goes on
<- end
-- end
`
	if got := f.text(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A payload of JSON is one as well if it crosses the end of its dialog, or comes in the same packet.
func TestRecorderKnowsTheCodecAfterTheEnd(t *testing.T) {
	for _, ending := range []wire.Kind{wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR} {
		var f file
		r := recording.New(&f, "parser", slog.New(slog.DiscardHandler))
		c := record(t, r, uuid1)
		c.says(start(2, "json", "{}"), start(4, "cbor", "\xa0"))
		c.hears(frame(2, ending, ""), frame(4, ending, ""))
		c.says(frame(2, wire.Kind_KIND_YIELD, "1"), frame(4, wire.Kind_KIND_YIELD, "1"))
		r.Finish()
		if want := "\n-> YIELD 2 json=1\n-> YIELD 4 -18\n-- end\n"; !strings.HasSuffix(f.text(), want) {
			t.Errorf("%s does not end with %q", f.text(), want)
		}
	}
}

// What is known of dialogs that have ended is bounded.
func TestRecorderForgetsDialogs(t *testing.T) {
	r := recording.New(io.Discard, "parser", slog.New(slog.DiscardHandler))
	c := record(t, r, uuid1)
	for id := range uint64(3 * link.DefaultMaxDialogs) {
		c.says(start(2*id+2, "json", ""), frame(2*id+2, wire.Kind_KIND_RETURN, ""))
	}
	r.Finish()
	if n := recording.Known(c.taped); n != link.DefaultMaxDialogs {
		t.Errorf("%d dialogs are known", n)
	}
}

// Whatever becomes of the file, the link works, somebody is told, and what is there can be read.
func TestRecorderGivesUp(t *testing.T) {
	large := strings.Repeat("x", 4<<10)
	for name, test := range map[string]struct {
		file  *file
		ends  string
		warns string
	}{
		"disk full":   {&file{most: 32 << 10}, "7", errFull.Error()},
		"file large":  {&file{}, "\n-- incomplete: it has reached 96 KiB\n", "it has reached 96 KiB"},
		"writer slow": {&file{gate: make(chan struct{})}, "\n-- incomplete: it is written more slowly than it comes: more than 32 KiB wait\n", "more slowly"},
	} {
		t.Run(name, func(t *testing.T) {
			var log file
			r := recording.NewSmall(test.file, "parser", slog.New(slog.NewTextHandler(&log, nil)), 32<<10, 96<<10)
			c := record(t, r, uuid1)
			for range 40 {
				c.hears(frame(2, wire.Kind_KIND_YIELD, large))
				if test.file.gate == nil {
					<-r.Idle()
				}
			}
			if test.file.gate != nil {
				close(test.file.gate)
			}
			r.Finish()
			c.says(frame(0, wire.Kind_KIND_BYE, ""))
			c.end()
			if !strings.Contains(log.text(), test.warns) || strings.Count(log.text(), "\n") != 1 {
				t.Errorf("logged %s", log.text())
			}
			if text := test.file.text(); !strings.HasPrefix(text, recording.FirstLine+"\n== ") || !strings.HasSuffix(strings.TrimRight(text, "8"), test.ends) {
				t.Errorf("it ends with %q", text[len(text)-200:])
			}
		})
	}
}

// Packets that are nearly empty, or empty, count what they keep of memory while they wait.
func TestRecorderBoundsWhatSmallPacketsKeep(t *testing.T) {
	for name, frames := range map[string][]*wire.Frame{"small": {frame(2, wire.Kind_KIND_STOP, "")}, "empty": nil} {
		f := &file{gate: make(chan struct{})}
		r := recording.NewSmall(f, "parser", slog.New(slog.DiscardHandler), 32<<10, 1<<20)
		c := record(t, r, uuid1)
		c.hears(frame(2, wire.Kind_KIND_STOP, ""))
		for range 256 {
			c.hears(frames...)
		}
		close(f.gate)
		r.Finish()
		if want := "\n-- incomplete: it is written more slowly than it comes: more than 32 KiB wait\n"; !strings.HasSuffix(f.text(), want) {
			t.Errorf("%s: all is kept: %d bytes", name, len(f.text()))
		}
	}
}

// What waits for the end of a payload is bounded, too.
func TestRecorderGivesUpOnAnEndlessPayload(t *testing.T) {
	var f, log file
	r := recording.NewSmall(&f, "parser", slog.New(slog.NewTextHandler(&log, nil)), 32<<10, 96<<10)
	c := record(t, r, uuid1)
	piece := strings.Repeat("x", 4<<10)
	for range 9 {
		c.hears(&wire.Frame{Dialog: 2, Kind: wire.Kind_KIND_YIELD, Payload: []byte(piece), More: true})
		<-r.Idle()
	}
	r.Finish()
	if want := "trellis recording 1\n-- incomplete: a payload of more than 32 KiB has come\n"; f.text() != want {
		t.Errorf("got %q, want %q", f.text(), want)
	}
}

// A writer that never returns costs the end a few seconds, and nobody else anything.
func TestRecorderLeavesAWriterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log file
		f := &file{gate: make(chan struct{})}
		r := recording.New(f, "parser", slog.New(slog.NewTextHandler(&log, nil)))
		c := record(t, r, uuid1)
		c.says(frame(2, wire.Kind_KIND_STOP, ""))
		r.Close()
		c.says(frame(2, wire.Kind_KIND_STOP, ""))
		if !strings.Contains(log.text(), "its writer does not return") {
			t.Errorf("logged %q", log.text())
		}
		close(f.gate)
		synctest.Wait()
		if want := "trellis recording 1\n== parser@11111111: TIME\n-> STOP 2\n-- end\n"; f.text() != want {
			t.Errorf("got %q, want %q", f.text(), want)
		}
	})
}

// Without a recorder there is nothing between a link and its transport.
func TestNoRecorder(t *testing.T) {
	a, _ := pipe.New()
	if got := (*recording.Recorder)(nil).Tap(a, actor.ID{}); got != a {
		t.Errorf("%v", got)
	}
}
