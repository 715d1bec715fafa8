package trellis_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadmeIsShort(t *testing.T) {
	const most = 200
	if lines := strings.Count(readme(t), "\n"); lines > most {
		t.Errorf("README.md has %d lines, more than %d; what few need belongs into docs", lines, most)
	}
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// docCode is a block of code in a doc comment.
var docCode = regexp.MustCompile(`(?m)(?:^//\t.*\n)+`)

// TestDocCodeIsCodeOfTheRepository compares without indentation: a snippet stands inside a
// function where it is compiled.
func TestDocCodeIsCodeOfTheRepository(t *testing.T) {
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	flat := func(text, prefix string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString(strings.TrimSpace(strings.TrimPrefix(line, prefix)) + "\n")
		}
		return b.String()
	}
	for _, name := range []string{"host/doc.go", "sdk/doc.go", "shared/actor/doc.go", "shared/contract/doc.go", "shared/fault/doc.go", "shared/flow/doc.go", "trellistest/doc.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := docCode.FindAllString(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no code", name)
		}
		for _, block := range blocks {
			code := flat(block, "//")
			if !slices.ContainsFunc(all, func(s *source) bool { return strings.Contains(flat(string(s.text), ""), code) }) {
				t.Errorf("this code of %s is in no file:\n%s", name, code)
			}
		}
	}
}

func TestReadmeCodeIsCodeOfTheRepository(t *testing.T) {
	blocks := goBlock.FindAllStringSubmatch(readme(t), -1)
	if len(blocks) == 0 {
		t.Error("README.md shows no Go code")
	}
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		if !slices.ContainsFunc(all, func(s *source) bool { return strings.Contains(string(s.text), block[1]) }) {
			t.Errorf("this code of README.md is in no file, verbatim:\n%s", block[1])
		}
	}
}
