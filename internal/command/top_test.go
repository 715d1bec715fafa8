package command

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// looked is a table of a tree as it may be.
func looked() *top.Table {
	at := time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)
	census := telemetry.Metrics{
		Actor: "census", ID: actor.ID{Name: "census", UUID: "1"}, State: "ready", Since: at.Add(-50 * time.Hour), Restarts: 2, Health: "ok",
		Process: telemetry.Process{CPU: time.Second, RSS: 21 << 20, Descriptors: 12}, Activity: telemetry.Activity{Open: 3, Unread: 5, Queued: 1, Held: 2},
		Endpoints: []telemetry.Endpoint{{Name: "count", Failed: 1, Buckets: []uint64{0, 0, 10}}},
	}
	later := census
	later.Process.CPU, later.Endpoints = 1250*time.Millisecond, []telemetry.Endpoint{{Name: "count", Failed: 2, Buckets: []uint64{0, 0, 20}}}
	root := telemetry.Metrics{ID: actor.ID{Name: "host", UUID: "0"}, State: "ready", Process: telemetry.Process{RSS: 30 << 20, Descriptors: 20}}
	hung := telemetry.Metrics{Actor: "census/parser", ID: actor.ID{Name: "parser", UUID: "2"}, State: "unhealthy", Since: at.Add(-90 * time.Second), Health: "failed",
		Silent: "it has not answered in time" + venom, Process: telemetry.Process{RSS: 17 << 20}}
	waiting := telemetry.Metrics{Actor: "greeter", ID: actor.ID{Name: "greeter", UUID: "3"}, State: "waiting", Silent: "it has no process"}
	var v top.View
	v.Look(at.Add(-time.Second), []telemetry.Metrics{root, census, hung, waiting})
	t := v.Look(at, []telemetry.Metrics{root, later, hung, waiting})
	t.Sort("cpu")
	return &t
}

// O02, O04: the document and the table of host top have fixed shapes, and a plugin's text cannot steer a terminal.
func TestO02_O04_ShapesOfTop(t *testing.T) {
	for name, output := range map[string]string{"top.json": "json", "top.txt": "table"} {
		var out bytes.Buffer
		p := &program{stdout: terminal.NewWriter(&out), output: output}
		if err := p.printTop(looked(), true, true); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "shapes", name)
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, out.String(), want)
		}
	}
}

func TestO02_TimesOfTop(t *testing.T) {
	for seconds, want := range map[float64]string{0: "-", 5: "5s", 61: "1m1s", 3661: "1h1m", 90000: "1d1h"} {
		if got := top.Age(seconds); got != want {
			t.Errorf("the age of %v s is %s, want %s", seconds, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "-", 0.0000123: "12µs", 0.00123: "1.2ms", 1.234: "1.2s", 60: "1m0s"} {
		if got := top.Took(seconds); got != want {
			t.Errorf("%v s are %s, want %s", seconds, got, want)
		}
	}
}

// O05: what other machines reach is refused unless it is wanted, and so is a request under another name.
func TestO05_WhoMayReadMetrics(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:0": "can be reached from other machines", ":0": "can be reached", "example.com:80": "can be reached",
		"nowhere": "expected HOST:PORT or unix:PATH", "unix:Name": "expected a name", "unix:/tmp/nobody/there/socket": "make it",
	} {
		if _, err := listen(t.Context(), "--metrics", address, false, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("O05: %s: %v", address, err)
		}
	}
	local, err := listen(t.Context(), "--metrics", "127.0.0.1:0", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer webServers{local}.close()
	anywhere, err := listen(t.Context(), "--metrics", ":0", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer webServers{anywhere}.close()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for host, want := range map[string]int{
		"localhost": 418, "localhost:9464": 418, "127.0.0.1:9464": 418, "[::1]:9464": 418, "evil.example": 403, "evil.example:9464": 403, "": 403, "127.0.0.1.evil.example": 403,
	} {
		for s, want := range map[*webServer]int{local: want, anywhere: 418} {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Host = host
			w := httptest.NewRecorder()
			s.guarded(answer).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("O05: %q is answered %d, want %d", host, w.Code, want)
			}
		}
	}
}

// scrape asks for the metrics at a socket, as Prometheus does, until they have a line like this: scrape path regexp.
func scrape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrape path regexp")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", args[0])
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	untilFound(ts, args[1], func() string {
		answer, err := client.Get("http://host/metrics")
		ts.Check(err)
		defer func() { _ = answer.Body.Close() }() // it was only read
		text, err := io.ReadAll(answer.Body)
		ts.Check(err)
		return string(text)
	})
}
