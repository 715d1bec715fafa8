package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/bench"
)

// measured is a small report with a number of every group that is drawn.
func measured() *bench.Report {
	r := &bench.Report{Schema: 1, Rounds: 1}
	add := func(group, name string, unit bench.Unit, xs ...float64) {
		for _, x := range xs {
			row := bench.Row{Group: group, Name: name, Unit: unit, X: x, Against: bench.Plain}
			for i, subject := range []string{bench.Trellis, bench.Plain, bench.Socket} {
				v := 1000 * float64(i+1)
				row.Results = append(row.Results, bench.Result{Subject: subject, Rounds: []float64{v}, Median: v})
			}
			r.Rows = append(r.Rows, row)
		}
	}
	add("call, 1 caller", "call", bench.Nanoseconds, 0, 64, 4096)
	add("stream, one way", "stream", bench.PerSecond, 64, 4096)
	add("stream, one way", "stream", bench.BytesPerSecond, 65536)
	add("stream, to the plugin and back", "stream", bench.PerSecond, 64, 4096)
	add("idle contexts", "open", bench.Nanoseconds, 10, 100)
	add("idle contexts", "memory", bench.Bytes, 10, 100)
	add("idle children", "host memory", bench.Bytes, 1, 10, 200)
	add("idle children", "host threads", bench.Pieces, 1, 10, 200)
	return r
}

func TestPageIsMadeFromTheReport(t *testing.T) {
	dir := t.TempDir()
	report, page := filepath.Join(dir, "bench.json"), filepath.Join(dir, "performance.md")
	writeJSON(t, report, measured())
	if err := os.WriteFile(page, []byte("Before.\n"+begin(bench.Quiet)+"old table\n"+end(bench.Quiet)+begin(bench.Warm)+"old warm\n"+end(bench.Warm)+"After.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := publish(report, page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.HasPrefix(s, "Before.\n") || !strings.HasSuffix(s, "After.\n") || strings.Contains(s, "old table") || !strings.Contains(s, "old warm") || !strings.Contains(s, "| call |") {
		t.Errorf("the page is\n%s", s)
	}
	for name, want := range map[string]struct{ lines, points int }{
		"size.svg":     {9, 3*2 + 3*3 + 3*2}, // a call of 0 bytes has no place on its axis
		"contexts.svg": {6, 12},
		"children.svg": {6, 18},
	} {
		lines, points := count(t, filepath.Join(dir, "performance", name))
		if lines != want.lines || points != want.points {
			t.Errorf("%s has %d lines and %d points, want %d and %d", name, lines, points, want.lines, want.points)
		}
	}
	kept, err := os.ReadFile(filepath.Join(dir, "performance", "quiet.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench.ParseReport(kept); err != nil {
		t.Error(err)
	}
}

// A report of a warm machine has a table of its own, and draws nothing.
func TestAWarmMachineHasATableOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	report, page := filepath.Join(dir, "bench.json"), filepath.Join(dir, "performance.md")
	warm := measured()
	warm.Others = 0.5
	writeJSON(t, report, warm)
	if err := os.WriteFile(page, []byte(begin(bench.Quiet)+"kept\n"+end(bench.Quiet)+begin(bench.Warm)+"old\n"+end(bench.Warm)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := publish(report, page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.HasPrefix(s, begin(bench.Quiet)+"kept\n") || strings.Contains(s, "old") || !strings.Contains(s, "50 % of the processors") {
		t.Errorf("the page is\n%s", s)
	}
	files, err := os.ReadDir(filepath.Join(dir, "performance"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != "warm.json" {
		t.Errorf("%v were written, want warm.json", files)
	}
}

// count reads an SVG as XML, and counts what is drawn.
func count(t *testing.T, file string) (lines, points int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := xml.NewDecoder(f); ; {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return lines, points
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s: %s has %s=%q", file, e.Name.Local, a.Name.Local, a.Value)
				}
			}
			lines += map[string]int{"polyline": 1}[e.Name.Local]
			points += map[string]int{"circle": 1}[e.Name.Local]
		}
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	dir := t.TempDir()
	good, quick, page := filepath.Join(dir, "good.json"), filepath.Join(dir, "quick.json"), filepath.Join(dir, "page.md")
	writeJSON(t, good, measured())
	hasty := measured()
	hasty.Quick = true
	writeJSON(t, quick, hasty)
	if err := os.WriteFile(page, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ report, want string }{
		{filepath.Join(dir, "missing.json"), "make it with: make bench"},
		{quick, "numbers mean nothing"},
		{good, "no place for the table"},
	} {
		if err := publish(test.report, page); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.report, err, test.want)
		}
	}
}

func writeJSON(t *testing.T, file string, r *bench.Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
