package recorded_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/trellistest/internal/recorded"
)

const begin = "trellis recording 1\n== a@00000000: 2026-01-02T15:04:05Z\n"

func TestReadNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "line 1: expected trellis recording 1, got an empty file",
		"{}\n":                                   `line 1: expected "trellis recording 1", got "{}": this is not a recording`,
		"trellis recording 2\n":                  `line 1: this is a recording of version "2"; this version of Trellis reads version 1`,
		"trellis recording 1\n-> BYE\n":          "line 2: it stands before the first process",
		begin + "?\n":                            `line 3: expected ==, ->, <-, -- or #, got "?"`,
		begin + "==\n":                           "line 3: expected the name of a process",
		begin + "-> LEAP 2\n":                    `line 3: there is no frame "LEAP"`,
		begin + "# a\n\n-> YIELD 2 [\n":          "line 5: expected a value, got the end of the line",
		begin + "-> YIELD 2 1 2\n":               "line 3: a frame has one payload",
		begin + "-> YIELD 2 start=1\n":           "line 3: a field of the frame: ",
		begin + "-> YIELD 2 start={\"x\": 1}\n":  "line 3: a field of the frame: ",
		begin + "-> YIELD 2 leap=1\n":            `line 3: a field of the frame: unknown field "leap"`,
		begin + "-> YIELD 2 hex=\"0\"\n":         "line 3: hex:",
		begin + "-> YIELD 2 overflow=\"x\"\n":    `line 3: a field of the frame: invalid value for enum field overflow: "x"`,
		begin + "-> YIELD 2 yields=1 yields=2\n": "line 3: yields: it comes twice",
		begin + "-> YIELD 2 dialog=1\n":          "line 3: dialog: it cannot be given so",
		begin + "-> YIELD 2 yields=-1\n":         "line 3: a field of the frame: ",
		begin + "-> ERROR 2 detail0=1\n":         "line 3: detail0: the fault has 0 errors",
		begin + "-> ERROR 2 detail=1\n":          "line 3: detail: expected the number of an error",
		begin + "-- end\n-> BYE\n":               `line 4: expected nothing behind the recording's end, got "-> BYE"`,
	} {
		if _, err := recorded.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestReadTellsWhatIsMissing(t *testing.T) {
	for text, want := range map[string]string{
		begin + "-> BYE\n-- end\n":                   "",
		begin + "-> BYE\n-- incomplete: disk full\n": "disk full",
		begin + "-> BYE\n":                           "it was cut off: its last line is missing",
		begin + "-> BYE\n<- STA":                     "it was cut off: its last line is missing",
	} {
		r, err := recorded.Read(strings.NewReader(text))
		if err != nil || r.Incomplete != want || len(r.Processes) != 1 || len(r.Processes[0].Lines) != 1 {
			t.Errorf("%q: %+v, %v, want %q", text, r, err, want)
		}
	}
}

// Processes that take turns keep their lines, in order.
func TestReadSortsByProcess(t *testing.T) {
	r, err := recorded.Read(strings.NewReader("trellis recording 1\n== a@1: now\n-> BYE\n== a@2: now\n<- BYE\n== a@1: it goes on\n<- end\n-- end\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Processes) != 2 || len(r.Processes[0].Lines) != 2 || r.Processes[0].Lines[1].Number != 7 || r.Processes[0].Lines[1].Frame != nil || r.Processes[1].Lines[0].Sent {
		t.Errorf("%+v", r.Processes)
	}
}

// Whatever a file has, reading it gives a recording or an error, and frames that were read are
// written so that they are read again.
func FuzzRead(f *testing.F) {
	f.Add(begin + `-> START 2 {"path": "/src"} start={"endpoint":"parse","kind":"ENDPOINT_KIND_FUNC"}` + "\n<- RETURN 2 h'00'\n<- end\n-- end\n")
	f.Add(begin + `<- ERROR 2 yields=1 fault={"nodes":[{"id":"f","message":"m"},{"name":"x"}]} detail1={"a": 1}` + "\n-- incomplete: x\n")
	f.Add(begin + `<- STARTED 2 json={"a":1} attached window={"messages":3} overflow="OVERFLOW_KEEP"` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := recorded.Read(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("an error without its line: %v", err)
			}
			return
		}
		for _, p := range r.Processes {
			for _, l := range p.Lines {
				checkFrame(t, l.Frame)
			}
		}
	})
}

// checkFrame writes a frame, reads it and compares.
func checkFrame(t *testing.T, f *wire.Frame) {
	t.Helper()
	if f == nil {
		return
	}
	for _, isJSON := range []bool{false, true} {
		text, err := recording.AppendFrame(nil, proto.CloneOf(f), isJSON)
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		if bytes.ContainsAny(text, "\n\x1b\x00") {
			t.Errorf("control characters in %q", text)
		}
		back, err := recorded.ParseFrame(string(text))
		again, none := recording.AppendFrame(nil, proto.CloneOf(back), isJSON)
		if err != nil || none != nil || !bytes.Equal(text, again) {
			t.Errorf("%s\nagain\n%s\n%v, %v", text, again, err, none)
		}
	}
}
