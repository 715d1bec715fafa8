package trellis_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/page"
)

func TestReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const most = 200
	if lines := strings.Count(string(text), "\n"); lines > most {
		t.Errorf("README.md has %d lines, more than %d; what few need belongs into docs", lines, most)
	}
}

// flat is code without its indentation and alignment: a snippet stands inside a function where it is compiled.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// flatSources are the texts of all Go files, flat.
var flatSources = sync.OnceValues(func() (texts []string, err error) {
	all, err := sources()
	for _, s := range all {
		texts = append(texts, flat(string(s.text)))
	}
	return texts, err
})

// shows reports whether a file has a snippet, both of them flat. Between its parts, where "…" stands for
// a line, other lines may be.
func shows(file, snippet string) bool {
	for part := range strings.SplitSeq(snippet, "…\n") {
		_, after, found := strings.Cut(file, strings.TrimSuffix(part, "\n"))
		if !found {
			return false
		}
		file = after
	}
	return true
}

// docCode is a block of code in a doc comment.
var docCode = regexp.MustCompile(`(?m)(?:^//\t.*\n)+`)

func TestDocCodeIsCodeOfTheRepository(t *testing.T) {
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
			wantCompiled(t, name, strings.ReplaceAll(block, "//\t", ""))
		}
	}
}

// A block of Go of a page is code that is compiled: a part of a file of this repository, or a file that the
// page has its reader write, which the test in docs does.
func TestPagesShowCodeOfTheRepository(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range append(pages, "README.md") {
		blocks, err := page.Blocks(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			if b.Language != "go" {
				continue
			}
			seen++
			if b.File == "" || name != "docs/tutorial.md" {
				wantCompiled(t, name, b.Text)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d blocks of Go were found", seen)
	}
}

func wantCompiled(t *testing.T, name, code string) {
	t.Helper()
	files, err := flatSources()
	if err != nil {
		t.Fatal(err)
	}
	snippet := flat(code)
	if !slices.ContainsFunc(files, func(file string) bool { return shows(file, snippet) }) {
		t.Errorf("this code of %s is in no file:\n%s", name, code)
	}
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unnamed = regexp.MustCompile(`[^\p{L}\p{N}\- _]`) // what GitHub leaves out of an anchor
)

// Links of pages lead to pages and headings that there are.
func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	pages := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "docs/*/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, name := range pages {
		for _, to := range link.FindAllStringSubmatch(prose(t, name), -1) {
			path, anchor, _ := strings.Cut(to[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if strings.Contains(to[1], "://") {
				continue
			} else if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", name, to[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: %s: there is no such heading", name, to[1])
			}
		}
	}
}

// prose is a page without its blocks.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return fenced.ReplaceAllString(string(text), "")
}

// anchors are those of a page, as GitHub makes them of its headings.
func anchors(t *testing.T, name string) (all []string) {
	t.Helper()
	for _, line := range heading.FindAllStringSubmatch(prose(t, name), -1) {
		all = append(all, strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(line[1]), ""), " ", "-"))
	}
	return all
}
