package command

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// O04: a record is one line, whatever it says: what is from outside cannot colour it, go on in another line or
// be wider than the terminal.
func TestO04_LinesForPeople(t *testing.T) {
	r := telemetry.Record{
		Time: time.Date(2026, 5, 4, 15, 4, 5, 67_000_000, time.Local), Actor: "census/parser", Level: slog.LevelWarn,
		Text: "not\nparsed\x1b[2J", Fields: []telemetry.Field{{Key: "file", Value: "a b.go"}, {Key: "lines\r", Value: 12}},
	}
	plain := `15:04:05.067 WARN  census/parser  not\nparsed\u001b[2J file="a b.go" "lines\r"=12`
	if got := (style{}).line(&r); got != plain {
		t.Errorf("got  %s\nwant %s", got, plain)
	}
	coloured := style{colour: true}.line(&r)
	want := "\x1b[2m15:04:05.067 \x1b[0m\x1b[33mWARN  \x1b[0m\x1b[36mcensus/parser\x1b[0m" + `  not\nparsed\u001b[2J` + "\x1b[2m" + ` file="a b.go" "lines\r"=12` + "\x1b[0m"
	if coloured != want {
		t.Errorf("got  %q\nwant %q", coloured, want)
	}
	for columns := 1; columns < 100; columns++ {
		got := style{columns: func() int { return columns }}.line(&r)
		n := utf8.RuneCountInString(got)
		if fits := columns >= len(plain); fits && got != plain || !fits && (n != columns || !strings.HasSuffix(got, "…") || !strings.HasPrefix(plain, strings.TrimSuffix(got, "…"))) {
			t.Errorf("on %d columns: %q", columns, got)
		}
	}
	if got := (style{columns: func() int { return 0 }}).line(&r); got != plain {
		t.Errorf("on a terminal without a width: %q", got)
	}
}

// A logger's attributes and groups are fields, and the first actor is the one that has logged.
func TestPeopleIsAHandler(t *testing.T) {
	var out bytes.Buffer
	p := &program{progress: newProgress(&out)}
	h, err := p.logHandler("pretty", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(h).With("actor", "a@1").WithGroup("request").With("id", 7)
	log.Info("done", "size", 12, slog.Group("from", "actor", "b"))
	log.Debug("too much")
	if _, line, _ := strings.Cut(out.String(), " "); line != "INFO  a@1  done request.id=7 request.size=12 request.from.actor=b\n" {
		t.Errorf("got %q", out.String())
	}
	p.progress.w = broken{}
	if h.Handle(t.Context(), slog.Record{}) == nil {
		t.Error("the loss of a line is not reported")
	}
	_, err = p.logHandler("xml", slog.LevelInfo)
	if _, wrong := errors.AsType[*usageError](err); !wrong {
		t.Errorf("a format that there is not: %v", err)
	}
}

// Progress with a total is a bar on a terminal, with its rate and the time that is left; without one it is a counter.
func TestProgressWithATotalIsABar(t *testing.T) {
	messages := []string{
		`{"files_seen":900,"done":100}`, `{"files_seen":1000,"done":200,"total":1000,"failed":1}`, `{"files_seen":1000,"done":400,"total":1000,"failed":1}`,
		`{"done":1000,"total":1000}`, `{"done":1,"total":0}`,
	}
	for drawn, want := range map[bool]string{
		false: "files seen 900, done 100\n 20 %, 200 of 1,000, files seen 1,000, failed 1\n 40 %, 400 of 1,000, 100/s, 6s left, files seen 1,000, failed 1\n100 %, 1,000 of 1,000\ndone 1, total 0\n",
		true:  "done 1, total 0",
	} {
		p, out, clock := drawnProgress(drawn, plainEvery)
		for _, m := range messages {
			p.show([]byte(m))
			*clock = clock.Add(2 * time.Second)
		}
		if got := out.String(); got != want && (!drawn || !strings.Contains(got, "[########------------]  40 %, 400 of 1,000, 100/s, 6s left, files seen 1,000, failed 1")) {
			t.Errorf("got %q", got)
		}
	}
}
