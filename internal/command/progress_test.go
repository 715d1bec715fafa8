package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// drawnProgress is a progress whose clock stands still until it is moved.
func drawnProgress(terminal bool, every time.Duration) (p *progress, out *bytes.Buffer, clock *time.Time) {
	out, clock = &bytes.Buffer{}, new(time.Time)
	*clock = time.Unix(1_000_000, 0)
	return &progress{drawn: terminal, every: every, w: out, now: func() time.Time { return *clock }}, out, clock
}

func TestPlainProgressIsOneLineASecond(t *testing.T) {
	p, out, clock := drawnProgress(false, plainEvery)
	for i := range 35 {
		p.show([]byte(fmt.Sprintf(`{"files_seen":%d,"workers":[{"id":1}]}`, i*1000)))
		*clock = clock.Add(100 * time.Millisecond)
	}
	p.end()
	if want := "files seen 0\nfiles seen 10,000\nfiles seen 20,000\nfiles seen 30,000\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestStepsAreAlwaysShown(t *testing.T) {
	p, out, _ := drawnProgress(false, plainEvery)
	p.step("building")
	p.say("1 message")
	p.say("2 messages")
	p.step("serving")
	if want := "building\n1 message\nserving\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTerminalProgressIsRedrawnInPlace(t *testing.T) {
	p, out, clock := drawnProgress(true, drawEvery)
	p.step("starting")
	p.show([]byte(`{"seen":1,"workers":[{"id":"a","n":1},{"id":"b","n":2}]}`))
	p.show([]byte(`{"seen":2}`)) // too soon after the last
	*clock = clock.Add(drawEvery)
	p.show([]byte(`{"seen":3}`))
	p.end()
	p.end()
	want := "\x1b[?7lstarting\x1b[?7h\n" +
		"\r\x1b[1A\x1b[J\x1b[?7lseen 1\n  id a, n 1\n  id b, n 2\x1b[?7h\n" +
		"\r\x1b[3A\x1b[J\x1b[?7lseen 3\x1b[?7h\n" +
		"\r\x1b[1A\x1b[J"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestLogsStandAboveWhatIsRedrawn(t *testing.T) {
	p, out, _ := drawnProgress(true, drawEvery)
	if n, err := p.Write([]byte("first\n")); n != 6 || err != nil {
		t.Error(n, err)
	}
	p.step("at work")
	if n, err := p.Write([]byte("second\n")); n != 7 || err != nil {
		t.Error(n, err)
	}
	p.end()
	want := "first\n\x1b[?7lat work\x1b[?7h\n\r\x1b[1A\x1b[Jsecond\n\x1b[?7lat work\x1b[?7h\n\r\x1b[1A\x1b[J"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestTerminalProgressIsBounded(t *testing.T) {
	p, out, _ := drawnProgress(true, drawEvery)
	p.show([]byte(`{"n":1,"rows":[` + strings.Repeat(`{"a":1},`, 99) + `{"a":1}]}`))
	if lines := strings.Count(out.String(), "\n"); lines != maxDrawn+1 {
		t.Errorf("%d lines drawn, want %d", lines, maxDrawn+1)
	}
	if !strings.Contains(out.String(), "  and 89 more") {
		t.Errorf("it does not say how many are left out: %q", out.String())
	}
}

func TestProgressOfAnyShape(t *testing.T) {
	for message, want := range map[string]string{
		`7000`: "7,000\n", `"half"`: "half\n", `null`: "-\n", `[1,2]`: "1; 2\n", `{}`: "none\n",
		`{"b":1,"a":"x\ny"}`: "b 1, a \"x\\ny\"\n",
		`{`:                  "", ``: "",
	} {
		p, out, _ := drawnProgress(false, plainEvery)
		if p.show([]byte(message)); out.String() != want {
			t.Errorf("%s is shown as %q, want %q", message, out.String(), want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestProgressThatCannotBeShownStopsNothing(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		p := &progress{drawn: terminal, w: broken{}, now: time.Now}
		p.step("one")
		p.show([]byte(`{"a":1}`))
		if _, err := p.Write([]byte("log\n")); err == nil {
			t.Error("the loss of a log line is not reported")
		}
		p.end()
	}
}

func TestOnlyATerminalIsRedrawn(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	if newProgress(file).drawn || newProgress(&bytes.Buffer{}).drawn {
		t.Error("a file and a buffer are not terminals")
	}
}
