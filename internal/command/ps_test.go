package command

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// The documents of commands have fixed shapes: what other programs read must not change by accident.
func TestShapes(t *testing.T) {
	entry := func(path, name string, state directory.State, endpoints ...directory.Endpoint) *document.Actor {
		return document.OfEntry(&directory.Entry{
			Path: path, Actor: actor.ID{Name: name, UUID: "0e1f2a3b-0000-4000-8000-000000000000", PID: 4711}, Epoch: 2, State: state,
			Endpoints: endpoints, Last: directory.Event{Reason: "restarted", Joined: name == "report"},
		})
	}
	all := func() []*document.Actor {
		return []*document.Actor{
			entry("census", "census", directory.Ready, directory.Endpoint{Name: "count", Kind: "context"}),
			entry("census/parser", "parser", directory.Ready, directory.Endpoint{Name: "parse", Kind: "func"}, directory.Endpoint{Name: "list", Kind: "source"}),
			entry("census/parser#2", "parser", directory.Waiting),
			entry("report", "report", directory.Unhealthy),
		}
	}
	now := time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)
	known := document.Describe(&inspect.Actor{
		Path: "census/parser", Name: "parser", UUID: "0e1f2a3b-0000-4000-8000-000000000000", PID: 4711, State: directory.Ready, Since: now.Add(-time.Minute),
		Reason: "restarted", Epoch: 2, Up: now.Add(-time.Minute), Program: &inspect.Program{Path: "/bin/parser", SHA256: "83f62a36", Arguments: 1, Env: []string{"TOKEN"}},
		Failure:  &inspect.Failure{Time: now.Add(-2 * time.Minute), Story: []string{"fault.ActorDied: parser died: exit code 2", "  arose in census@0e1f2a3b (pid 4710)"}},
		Restarts: &inspect.Restarts{Kind: "permanent", Max: 3, Left: 2, Window: 5 * time.Second}, Health: &inspect.Health{Time: now.Add(-time.Second)}, System: "S (sleeping)",
		Limits:    []inspect.Limit{{Name: inspect.Memory, Used: 12 << 20, Max: 64 << 20}},
		Contexts:  []dialog.Info{{Endpoint: "parse", Kind: "func", Role: dialog.RoleOpener, Peer: "parser@0e1f2a3b", Since: now.Add(-time.Second), Phase: "open", Waits: "its answer"}},
		Endpoints: []inspect.Endpoint{{Name: "parse", Kind: "func", Callers: []string{"joined"}, Shape: "arguments string\nresult int\n"}},
		Process:   &inspect.Process{PID: 4711, Go: "go1.26.0", Module: "example.com/parser v1.2.3", Goroutines: 17, Contexts: []dialog.Info{}},
		Log:       []telemetry.Record{{Time: now, Actor: "census/parser", Level: slog.LevelWarn, Text: "slow", Fields: []telemetry.Field{{Key: "took", Value: 1.5}}}},
	})
	t.Setenv("COLUMNS", "80")
	for name, write := range map[string]func(p *program) error{
		"describe.json": func(p *program) error { return p.printJSON(known) },
		"describe.txt":  func(p *program) error { return p.describe(known, now) },
		"ps.json":       func(p *program) error { return p.printJSON(document.Listing{Version: document.Version, Actors: all()}) },
		"tree.json": func(p *program) error {
			return p.printJSON(document.Listing{Version: document.Version, Actors: document.Nested(all())})
		},
		"none.json": func(p *program) error {
			return p.printJSON(document.Listing{Version: document.Version, Actors: document.Nested(nil)})
		},
		"ps.txt":   func(p *program) error { return p.table(all(), byPath) },
		"tree.txt": func(p *program) error { return p.table(all(), byDepth) },
	} {
		var out bytes.Buffer
		if err := write(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "shapes", name)
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, out.String(), want)
		}
	}
	if text, err := json.Marshal(document.Listing{Version: document.Version, Actors: []*document.Actor{}}); err != nil || string(text) != `{"version":1,"actors":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}
