package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// The documents of commands have fixed shapes: what other programs read must not change by accident.
func TestShapes(t *testing.T) {
	entry := func(path, name string, state directory.State, endpoints ...directory.Endpoint) *shown {
		return show(&directory.Entry{
			Path: path, Actor: actor.ID{Name: name, UUID: "0e1f2a3b-0000-4000-8000-000000000000", PID: 4711}, Epoch: 2, State: state,
			Endpoints: endpoints, Last: directory.Event{Reason: "restarted", Joined: name == "report"},
		})
	}
	all := func() []*shown {
		return []*shown{
			entry("census", "census", directory.Ready, directory.Endpoint{Name: "count", Kind: "context"}),
			entry("census/parser", "parser", directory.Ready, directory.Endpoint{Name: "parse", Kind: "func"}, directory.Endpoint{Name: "list", Kind: "source"}),
			entry("census/parser#2", "parser", directory.Waiting),
			entry("report", "report", directory.Unhealthy),
		}
	}
	for name, write := range map[string]func(p *program) error{
		"ps.json":   func(p *program) error { return p.printJSON(listing{shapesVersion, all()}) },
		"tree.json": func(p *program) error { return p.printJSON(listing{shapesVersion, nested(all())}) },
		"none.json": func(p *program) error { return p.printJSON(listing{shapesVersion, nested(nil)}) },
		"ps.txt":    func(p *program) error { return p.table(all(), byPath) },
		"tree.txt":  func(p *program) error { return p.table(all(), byDepth) },
	} {
		var out bytes.Buffer
		if err := write(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", "shapes", name))
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, out.String(), want)
		}
	}
	if text, err := json.Marshal(listing{shapesVersion, []*shown{}}); err != nil || string(text) != `{"version":1,"actors":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}
