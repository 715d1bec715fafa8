package command

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/docs"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/decl"
)

// parsed are the files of a package, tests aside.
func parsed(t *testing.T, folder string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", folder, names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// exportedErrors are the errors that a package exports, types and values, and the texts of those that
// errors.New has made.
func exportedErrors(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range parsed(t, folder) {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if r := decl.Receiver(d); d.Name.Name == "Error" && ast.IsExported(r) {
					found[file.Name.Name+"."+r] = ""
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
						found[file.Name.Name+"."+v.Names[0].Name] = literal(v.Values[0])
					}
				}
			}
		}
	}
	return found
}

// literal is the text that a call of errors.New is given.
func literal(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	text, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
	if err != nil {
		panic(err) // it has been parsed
	}
	return text
}

// Every error that a package exports has a row on the page, and every row is one that there is.
func TestEveryErrorIsExplained(t *testing.T) {
	want := map[string]string{}
	folders, err := filepath.Glob("../../shared/*")
	if err != nil || len(folders) < 5 {
		t.Fatal(folders, err)
	}
	for _, folder := range append(folders, "../../sdk", "../../fleet", "../../host", "../../host/config", "../../host/config/read", "../../trellistest") {
		maps.Copy(want, exportedErrors(t, folder))
	}
	want["host.ErrNoHost"], want["host.ErrServed"] = host.ErrNoHost.Error(), host.ErrServed.Error()
	for _, e := range explanationsOn(docs.Errors) {
		if e.Text == "" {
			continue // an exit code
		}
		text, ok := want[e.Name]
		if !ok {
			t.Errorf("docs/errors.md explains %s, which there is not", e.Name)
		}
		if text != "" && text != e.Text {
			t.Errorf("docs/errors.md has the text %q for %s, which is %q", e.Text, e.Name, text)
		}
		delete(want, e.Name)
	}
	for name := range want {
		t.Errorf("docs/errors.md does not explain %s", name)
	}
	if rows := strings.Count(docs.Errors, "\n| `"); rows != len(explanationsOn(docs.Errors)) {
		t.Errorf("of %d rows of docs/errors.md %d are read", rows, len(explanationsOn(docs.Errors)))
	}
}

// Every exit code of the command has a row on the page, and those of signals have one together.
func TestEveryExitCodeIsExplained(t *testing.T) {
	codes := []string{"0"}
	for _, file := range parsed(t, ".") {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				if v := spec.(*ast.ValueSpec); strings.HasPrefix(v.Names[0].Name, "exit") {
					codes = append(codes, v.Values[0].(*ast.BasicLit).Value)
				}
			}
		}
	}
	if len(codes) < 6 {
		t.Errorf("only these were found: %v", codes)
	}
	var have []string
	for _, e := range explanationsOn(docs.Errors) {
		if code, err := strconv.Atoi(e.Name); err == nil && code < 128 {
			have = append(have, e.Name)
		}
	}
	slices.Sort(codes)
	if !slices.Equal(codes, have) {
		t.Errorf("docs/errors.md explains %v, and there are %v", have, codes)
	}
}

func TestExplainFindsWhatIsMeant(t *testing.T) {
	all := explanationsOn(docs.Errors)
	for asked, want := range map[string]string{
		"fault.ErrOverloaded": "fault.ErrOverloaded", "ErrOverloaded": "fault.ErrOverloaded", "overloaded": "fault.ErrOverloaded", "Overloaded": "fault.ErrOverloaded",
		"ErrOverrun": "fault.StreamOverrun", "overrun": "fault.StreamOverrun", "stream overrun": "fault.StreamOverrun",
		"NotExposed": "fault.NotExposed", "ErrNotExposed": "fault.ErrNotExposed", "notexposed": "fault.ErrNotExposed fault.NotExposed",
		"*fault.ActorDied": "fault.ActorDied", "actor died": "fault.ActorDied", "config.Error": "config.Error",
		"ErrNotFound": "directory.ErrNotFound", "4": "4", "130": "130", "137": "128 + n",
		"host: no host serves at this address: /tmp/x; start one":                               "host.ErrNoHost",
		`host: actor "a" did not start, at its boot: panic: x`:                                  "fault.PanicError host.StartError",
		"actor a#1@host died (signal killed); its last words: \"x\"":                            "fault.ActorDied",
		"c.yaml:1:2: actors: expected a list, got nothing":                                      "config.Error",
		`host: *fault.ContractError: endpoint "a": arguments do not fit`:                        "fault.ContractError",
		"host: *contract.Rude: nuts is rude":                                                    "fault.RemoteError",
		"parser#1 serves: func \"pars\" is not exposed; exposed: parse; did you mean \"parse\"": "fault.NotExposed",
	} {
		found, err := findExplanations(all, asked)
		var names []string
		for _, e := range found {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%q is explained as %q, %v; want %q", asked, got, err, want)
		}
	}
	for asked, want := range map[string]string{
		"ErrOverlooded": `expected an error, an exit code or the text of an error, got "ErrOverlooded"; did you mean "ErrOverloaded"?; host explain lists all of them`,
		"":              `expected an error, an exit code or the text of an error, got ""; host explain lists all of them`,
		"e":             `expected an error, an exit code or the text of an error, got "e"; host explain lists all of them`,
		"6":             "the command has no exit code 6; host explain lists those that it has",
		"-1":            "the command has no exit code -1; host explain lists those that it has",
		"256":           "the command has no exit code 256; host explain lists those that it has",
	} {
		if found, err := findExplanations(all, asked); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %s", asked, found, err, want)
		}
	}
}

func TestWrapped(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for line := range strings.Lines(wrapped(long, "  ")) {
		if n := len(strings.TrimSuffix(line, "\n")); n > pageWidth || !strings.HasPrefix(line, "  word") {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	for _, text := range []string{"", "one", strings.Repeat("x", 100)} {
		if got, want := wrapped(text, "  "), fmt.Sprintf("  %s\n", text); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := wrapped("a  b", ""); got != "a b\n" {
		t.Errorf("%q", got)
	}
}
