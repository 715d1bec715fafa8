package page

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const sample = "# A page\n\nThis is `main.go`:\n\n```go\npackage main\n```\n\n1. Run it:\n\n   ```console\n   $ go run . \\\n   > -v\n   hello\n     all\n   $ ls\n   ```\n"

func TestBlocksAndCommands(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks, err := Blocks(name)
	want := []Block{
		{Language: "go", Text: "package main\n", Line: 6, File: "main.go"},
		{Language: "console", Text: "$ go run . \\\n> -v\nhello\n  all\n$ ls\n", Line: 12},
	}
	if err != nil || !slices.Equal(blocks, want) {
		t.Fatalf("%+v, %v", blocks, err)
	}
	commands := blocks[1].Commands()
	if !slices.Equal(commands, []Command{{"go run . \\\n-v\n", "hello\n  all\n", 12}, {"ls\n", "", 16}}) {
		t.Errorf("%+v", commands)
	}
}

func TestWhatAPageShowsIsWhatIsPrinted(t *testing.T) {
	for _, test := range []struct {
		shows, printed string
		is             bool
	}{
		{"", "", true},
		{"", "something\n", false},
		{"ok (…s)\n", "ok (0.12s)\n", true},
		{"ok (…s)\n", "ok (0.12s)\nmore\n", false},
		{"a.b\n", "axb\n", false},
		{"PID  NAME\n", "PID      NAME\n", true},
		{"first\n…\nlast\n", "first\nlast\n", true},
		{"first\n…\nlast\n", "first\n1\n2\nlast\n", true},
		{"first\n…\nlast\n", "1\nlast\n", false},
	} {
		if is := (Command{Prints: test.shows}).Matches(test.printed); is != test.is {
			t.Errorf("%q for %q: %t", test.printed, test.shows, is)
		}
	}
}
