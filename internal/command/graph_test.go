package command

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// A graph has a fixed shape in each of its languages.
func TestGraphs(t *testing.T) {
	tree, err := read.Parse("c.yaml", []byte(`
name: census
actors:
  - name: census
    command: [x]
    actors:
      - {name: walker, command: [x]}
      - {name: parser, command: [x], replicas: 2, restart: transient, depends_on: {walker: started, store: healthy}}
      - {name: store, command: [x]}
  - {name: clock, command: [x]}
`), read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	live := graphOfActors([]*document.Actor{
		{Path: "census", Name: "census", State: directory.Ready, PID: 1},
		{Path: "census/parser", Name: "parser", State: directory.Ready, PID: 2},
		{Path: "census/parser#2", Name: "parser", State: directory.Waiting},
		{Path: "gone/below", Name: "below", State: directory.Ready, PID: 3},
		{Path: `say "\"`, Name: `say "\"`, State: directory.Ready, PID: 4, Joined: true},
	})
	for name, g := range map[string]*graph{"file": graphOfFile(tree), "host": live} {
		for form := range drawings {
			sameAsGolden(t, "graph-"+name+"."+form, []byte(drawings[form](g)))
		}
		var out bytes.Buffer
		if err := (&program{stdout: &out}).printJSON(g); err != nil {
			t.Fatal(err)
		}
		sameAsGolden(t, "graph-"+name+".json", out.Bytes())
	}
}

// sameAsGolden compares what a command prints with a file of testdata/shapes.
func sameAsGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "shapes", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}
