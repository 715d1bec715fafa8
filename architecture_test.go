package trellis_test

import (
	"go/ast"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/decl"
)

const architecturePage = "docs/architecture.md"

func architecture(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(architecturePage)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// small are the packages that the drawing leaves to a table: nearly everything may use them.
var small = []string{"internal/ctxvalue", "internal/environ", "internal/histogram", "internal/logs", "internal/loopback", "internal/panics", "internal/prefault", "internal/self", "internal/task", "internal/terminal", "internal/treepath", "internal/words"}

// drawn reports whether a package is a room of the drawing.
func drawn(folder string) bool { return described(folder) && !slices.Contains(small, folder) }

// described reports whether the page says what a package is: not those that measure, and
// programs that only tests build.
func described(folder string) bool {
	return withinAny(folder, []string{"fleet", "host", "sdk", "shared", "internal", "cmd/host", "mcp", "metrics", "otlp", "page", "prometheus", "trellistest"}) &&
		!within(folder, "internal/lab") && !strings.Contains(folder, "/testdata")
}

// graph has the folders that each folder leads to.
type graph map[string]map[string]bool

func (g graph) add(from, to string) {
	if g[from] == nil {
		g[from] = map[string]bool{}
	}
	g[from][to] = true
}

// leads reports whether there is a way, of one arrow or more.
func (g graph) leads(from, to string) bool {
	for next := range g[from] {
		if next == to || g.leads(next, to) {
			return true
		}
	}
	return false
}

// imported is the graph of the imports that the source text has.
func imported(t *testing.T) graph {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	g := graph{}
	for _, s := range all {
		if s.test || !drawn(s.folder()) {
			continue
		}
		for _, p := range imports(s) {
			if ours, ok := strings.CutPrefix(p, module); ok && drawn(ours) {
				g.add(s.folder(), ours)
			}
		}
	}
	return g
}

var (
	roomOfPage  = regexp.MustCompile(`(?m)^\s*(\w+)\["([\w/]+)"\]`)
	arrowOfPage = regexp.MustCompile(`(?m)^\s*(\w+) --> ([\w &]+)$`)
)

// The drawing has an arrow for each import that does not follow from others, and no other.
func TestTheArchitecturePageDrawsTheImports(t *testing.T) {
	page, folders := architecture(t), map[string]string{}
	for _, room := range roomOfPage.FindAllStringSubmatch(page, -1) {
		folders[room[1]] = room[2]
	}
	actual, drawing := imported(t), graph{}
	for _, arrow := range arrowOfPage.FindAllStringSubmatch(page, -1) {
		for to := range strings.SplitSeq(arrow[2], " & ") {
			if folders[arrow[1]] == "" || folders[to] == "" {
				t.Fatalf("%s: the arrow %q has an end that is not a room", architecturePage, arrow[0])
			}
			drawing.add(folders[arrow[1]], folders[to])
		}
	}
	for from, all := range drawing {
		for to := range all {
			if !actual[from][to] {
				t.Errorf("%s draws %s --> %s, which the code does not import", architecturePage, from, to)
			}
		}
	}
	for from, all := range actual {
		for to := range all {
			if !drawing.leads(from, to) {
				t.Errorf("%s imports %s, and %s draws no way between them", from, to, architecturePage)
			}
		}
	}
}

// nameOnPage is a function or type between backquotes, with its package: dialog.Table.Open.
var nameOnPage = regexp.MustCompile("`([a-z]\\w*)\\.(\\w+(?:\\.\\w+)?)`")

// declared are the names that the module declares: package.Function, package.Type.Method,
// and Type.Method, as the page has it where the package is plain.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range all {
		if s.test || within(s.path, "testdata") {
			continue
		}
		pkg := s.file.Name.Name
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[pkg+"."+decl.Name(d)] = true
				names[decl.Name(d)] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						names[pkg+"."+t.Name.Name] = true
					}
				}
			}
		}
	}
	return names
}

// The walks name functions, which are renamed now and then.
func TestTheArchitecturePageNamesWhatExists(t *testing.T) {
	page, names := architecture(t), declared(t)
	found := nameOnPage.FindAllStringSubmatch(page, -1)
	if len(found) < 40 {
		t.Errorf("%s names %d functions; its walks have more", architecturePage, len(found))
	}
	for _, n := range found {
		if !names[n[1]+"."+n[2]] {
			t.Errorf("%s names %s.%s, which is not declared", architecturePage, n[1], n[2])
		}
	}
}

var fileOnPage = regexp.MustCompile("`([\\w./-]+\\.(?:go|md|proto|txt)|(?:internal|shared|host|sdk|docs|cmd)/[\\w/-]*)`")

func TestTheArchitecturePageNamesFilesThatExist(t *testing.T) {
	page := architecture(t)
	for _, file := range fileOnPage.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(path.Clean(file[1])); err != nil {
			t.Errorf("%s: %v", architecturePage, err)
		}
	}
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]bool{}
	for _, s := range all {
		if !s.test && described(s.folder()) {
			folders[s.folder()] = true
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if !strings.Contains(page, "`"+folder+"`") && !strings.Contains(page, `"`+folder+`"`) {
			t.Errorf("%s does not say what %s is", architecturePage, folder)
		}
	}
}
