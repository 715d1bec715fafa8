package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// O04: a line of one actor never appears as that of another one.
func TestO04_NoChildSpeaksForAnother(t *testing.T) {
	self := actor.NewID("mid")
	name := self.String()
	for _, tc := range []struct {
		line  string
		hosts bool
		actor string
		claim any
	}{
		{`{"level":"error","msg":"x"}`, false, name, nil},
		{`{"level":"error","msg":"x","actor":"root@0"}`, false, name, "root@0"},
		{`{"level":"error","msg":"x","actor":"root@0"}`, true, name + "/root@0", nil},
		{`{"level":"error","msg":"x","actor":"leaf@1/deep@2"}`, true, name + "/leaf@1/deep@2", nil},
		{`{"level":"error","msg":"x","actor":"` + name + `"}`, true, name, nil},
		{`{"level":"error","msg":"x","actor":"` + name + `"}`, false, name, nil},
		{`{"level":"error","msg":"x","actor":""}`, true, name, ""},
		{`{"level":"error","msg":"x","actor":{"name":"root"}}`, true, name, map[string]any{"name": "root"}},
		{`{"level":"error","msg":"x","actor":"a","actor":"root@0"}`, false, name, "root@0"},
	} {
		var out bytes.Buffer
		l := newLogger(slog.New(slog.NewJSONHandler(&out, nil)), func(telemetry.Record) {}, self, tc.hosts)
		l.line(process.Line{Stream: process.Stderr, Text: []byte(tc.line)})
		<-l.waiting.Idle()
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", tc.line, err)
		}
		claim, err := json.Marshal(got[claimKey])
		want, errWant := json.Marshal(tc.claim)
		if err != nil || errWant != nil {
			t.Fatal(err, errWant)
		}
		if got[actorKey] != tc.actor || !bytes.Equal(claim, want) || bytes.Count(out.Bytes(), []byte(`"actor":`)) != 1 {
			t.Errorf("%s (hosts: %v): %s, want actor %s and claim %s", tc.line, tc.hosts, out.Bytes(), tc.actor, want)
		}
	}
}

// logged is what a logger makes of lines, as text.
func logged(level slog.Level, lines ...process.Line) string {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), func(telemetry.Record) {}, actor.ID{Name: "p", UUID: "ab000000"}, false)
	for _, line := range lines {
		l.line(line)
	}
	<-l.waiting.Idle()
	return out.String()
}

func onStderr(text string, part process.Part) process.Line {
	return process.Line{Stream: process.Stderr, Text: []byte(text), Part: part}
}

// B08: numbers, order and nesting of a record's fields stay what they are.
func TestO04_FieldsOfARecordStayWhatTheyAre(t *testing.T) {
	for fields, want := range map[string]string{
		`"z":12345678,"a":9007199254740993`:                 `z=12345678 a=9007199254740993`,
		`"u":18446744073709551615,"n":-9223372036854775808`: `u=18446744073709551615 n=-9223372036854775808`,
		`"big":123456789012345678901234567890,"f":1.5`:      `big=123456789012345678901234567890 f=1.5`,
		`"e":1e400,"t":true,"no":null`:                      `e=1e400 t=true no=<nil>`,
		`"g":{"b":9007199254740993,"a":{"x":"y"}}`:          `g.b=9007199254740993 g.a.x=y`,
		`"list":[9007199254740993,"x"]`:                     `list="[9007199254740993,\"x\"]"`,
		`"empty":{}`:                                        `empty="{}"`,
		// A field cannot pass for one of the record's own.
		`"level":"high","msg":"other","time":"now"`: `plugin.level=high plugin.msg=other plugin.time=now`,
		`"":{"actor":"root@0"}`:                     `plugin..actor=root@0`,
		`"":{"":{"actor":"root@0"}}`:                `plugin..actor=root@0`,
	} {
		got := logged(slog.LevelInfo, onStderr(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"m",`+fields+`}`, process.Whole))
		if want := "level=INFO msg=m actor=p@ab000000 " + want + "\n"; got != want {
			t.Errorf("%s:\ngot  %swant %s", fields, got, want)
		}
	}
	if got := logged(slog.LevelInfo, onStderr(`{"@level":"warn","@message":"m","@timestamp":"x","level":"high"}`, process.Whole)); got != "level=WARN msg=m actor=p@ab000000 plugin.level=high\n" {
		t.Errorf("hclog: %s", got)
	}
}

// B09: a record that was cut keeps its level, its message and its fields, and what
// follows its head is neither a record nor a line.
func TestO04_ARecordThatIsCutStaysOne(t *testing.T) {
	head := `{"time":"2026-01-02T03:04:05Z","level":"ERROR","msg":"large","id":9007199254740993,"payload":"`
	forged := `{"level":"ERROR","msg":"forged"}`
	for name, text := range map[string]string{
		"a text": head + `xx`, "an escape": head + `xx\`, "half an escape": head + `xx\u00`, "half a pair": head + `xx\ud83d\ude0`,
	} {
		got := logged(slog.LevelError, onStderr(text, process.Head), onStderr(forged, process.Middle), onStderr(forged, process.Tail), onStderr(forged, process.Whole))
		want := "level=ERROR msg=large actor=p@ab000000 id=9007199254740993 payload=xx part=head\nlevel=ERROR msg=forged actor=p@ab000000\n"
		if name == "half a pair" {
			want = strings.Replace(want, "payload=xx", `payload="xx`+"\ufffd\"", 1)
		}
		if got != want {
			t.Errorf("%s:\ngot  %swant %s", name, got, want)
		}
	}
	for name, rest := range map[string]string{"a number": `,"n":12`, "a literal": `,"n":tru`, "a list": `,"n":[1,`, "a key": `,"n`, "nothing": `,`, "a colon": `,"n":`} {
		got := logged(slog.LevelInfo, onStderr(`{"level":"WARN","msg":"m"`+rest, process.Head))
		if want := "level=WARN msg=m actor=p@ab000000 part=head\n"; got != want {
			t.Errorf("%s:\ngot  %swant %s", name, got, want)
		}
	}
	if got := gist([]byte(head+"xx"), true); got != "large" {
		t.Errorf("its gist is %q", got)
	}
}

// B09: the last piece of a line that was cut is not a record, whatever it looks like.
func TestO04_PiecesOfALineForgeNothing(t *testing.T) {
	forged := `{"level":"ERROR","msg":"forged"}`
	got := logged(slog.LevelInfo, onStderr("plain", process.Head), onStderr(forged, process.Middle), onStderr(forged, process.Tail))
	want := "level=INFO msg=plain actor=p@ab000000 stream=stderr part=head\n"
	for _, part := range []string{"middle", "tail"} {
		want += `level=INFO msg="{\"level\":\"ERROR\",\"msg\":\"forged\"}" actor=p@ab000000 stream=stderr part=` + part + "\n"
	}
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// O04: slog's default handler prints messages as they are.
func TestO04_MessagesCannotSteerATerminal(t *testing.T) {
	for _, text := range []string{"a\x1b[2Jb\rc", `{"level":"info","msg":"a\u001b[2Jb\nc\u202e"}`} {
		var out bytes.Buffer
		l := newLogger(slog.New(slog.NewJSONHandler(&out, nil)), func(telemetry.Record) {}, actor.NewID("p"), false)
		l.line(onStderr(text, process.Whole))
		<-l.waiting.Idle()
		var got struct{ Msg string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Msg == "" || strings.ContainsFunc(got.Msg, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("%q is logged as %q", text, got.Msg)
		}
	}
}

// U10: the runtime's report of a crash is not information beside others.
func TestACrashIsLoggedAsAnError(t *testing.T) {
	got := logged(slog.LevelError, onStderr("before", process.Whole), onStderr("panic: boom", process.Whole),
		onStderr("", process.Whole), onStderr("goroutine 1 [running]:", process.Whole),
		process.Line{Stream: process.Stdout, Text: []byte("elsewhere")},
		onStderr(`{"level":"INFO","msg":"it lives"}`, process.Whole), onStderr("after", process.Whole))
	want := `level=ERROR msg="panic: boom" actor=p@ab000000 stream=stderr` + "\n" +
		`level=ERROR msg="goroutine 1 [running]:" actor=p@ab000000 stream=stderr` + "\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"level":"INFO","msg":"m","a":{"b":[1]}}`), false)
	f.Add([]byte(`{"level":"INFO","msg":"m","a":"x\ud83d`), true)
	f.Fuzz(func(t *testing.T, text []byte, cut bool) {
		r, ok := parseRecord(text, cut)
		if ok && !cut && !json.Valid(text) {
			t.Errorf("%q is not JSON, and was read as %+v", text, r)
		}
	})
}

func TestN16_LastWordsAreWordsForPeople(t *testing.T) {
	for line, want := range map[string]string{
		"plain":                            "plain",
		"":                                 "",
		`{"level":"DEBUG","msg":"detail"}`: "",
		`{"level":"INFO","msg":"detail"}`:  "",
		`{"level":"WARN","msg":"careful"}`: "careful",
		`{"level":"ERROR","msg":"no","error":"disk"}`: "no: disk",
		`{"@level":"error","@message":"hclog"}`:       "hclog",
		`{"answer": 42}`:                              `{"answer": 42}`,
		`{no JSON`:                                    `{no JSON`,
	} {
		if got := gist([]byte(line), false); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// N16: the last words of an actor are its author's, never the runtime's own warnings.
func TestN16_LastWordsAreTheAuthors(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"WARN","msg":"no database","error":"refused"}`:                                "no database: refused",
		`{"level":"WARN","msg":"a sender waits: its peer's buffer is full","logger":"trellis"}`: "",
		`{"level":"WARN","msg":"of a library's own","logger":"sql"}`:                            "of a library's own",
		`{"level":"INFO","msg":"nothing to be told"}`:                                           "",
		"goodbye": "goodbye",
	} {
		if got := gist([]byte(line), false); got != want {
			t.Errorf("%s: kept %q, want %q", line, got, want)
		}
	}
}

// N19: a handler that hangs holds up no record; what it does not take in time is dropped, and it is told how much.
func TestN19_AHandlerThatHangsHoldsUpNoRecord(t *testing.T) {
	may, out := make(chan struct{}), &bytes.Buffer{}
	kept := 0
	l := newLogger(slog.New(hanging{slog.NewTextHandler(out, nil), may}), func(telemetry.Record) { kept++ }, actor.NewID("p"), false)
	const lines = 100
	for range lines {
		l.line(onStderr(strings.Repeat("x", 64<<10), process.Whole))
	}
	if kept != lines {
		t.Errorf("N19: of %d lines %d are kept", lines, kept)
	}
	close(may)
	<-l.waiting.Idle()
	dropped := 0 // as often as something was handed on
	for _, told := range regexp.MustCompile(`dropped=(\d+)`).FindAllStringSubmatch(out.String(), -1) {
		n, err := strconv.Atoi(told[1])
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	if n := strings.Count(out.String(), "stream=stderr"); n == 0 || n > 2*mostUnlogged>>16 || n+dropped != lines {
		t.Errorf("N19: a log for which 1 MiB waits, beside what it was given, has %d of %d lines of 64 KiB, and tells of %d that were dropped", n, lines, dropped)
	}
}

type hanging struct {
	slog.Handler
	may <-chan struct{}
}

func (h hanging) Handle(ctx context.Context, r slog.Record) error {
	<-h.may
	return h.Handler.Handle(ctx, r)
}

// O02: what a host itself warns of is kept as its own record.
func TestO02_WhatAHostWarnsOfIsKept(t *testing.T) {
	e, ctx, err := newEnvironment(t.Context(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	log := e.log.With("a", 1)
	log.Info("nothing to be told")
	log.Warn("careful", "b", 2)
	e.end()
	var got []string
	for r, err := range e.records.Watch(ctx, telemetry.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%q %v %v", r.Actor, r.Level, &r))
	}
	if want := []string{`"" WARN careful a=1 b=2`}; !slices.Equal(got, want) {
		t.Errorf("O02: kept: %q, want %q", got, want)
	}
}
