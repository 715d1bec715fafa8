package main

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the files of docs that are made from the command")

// Files that are made from the command are those that it would make now.
func TestGeneratedFiles(t *testing.T) {
	for name, write := range map[string]func(p *program) error{
		"../../docs/config.schema.json": func(p *program) error { return p.printJSON(configSchema()) },
	} {
		var out bytes.Buffer
		if err := write(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil { //nolint:gosec // a page for everybody
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, out.Bytes()) {
			t.Errorf("%s is not what the command makes: run go test ./cmd/host -run TestGeneratedFiles -update", name)
		}
	}
}
