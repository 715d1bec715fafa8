package trellis_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/decl"
)

const module = "github.com/seed-2ba35074/trellis/"

// layers are the folders of shared, lowest first: each may import those before it.
var layers = []string{"shared/actor", "internal/wire", "internal/codecs", "shared/fault", "shared/telemetry", "internal/link", "internal/tracing", "internal/dialog", "internal/callers", "internal/endpoint", "shared/contract", "shared/directory"}

// area says what the packages below a folder may import of this module.
type area struct {
	folder string
	may    []string
	reason string
}

// importMap has an area for every folder. Tests are free: they join the ends.
func importMap() []area {
	areas := []area{
		{"internal/task", nil, "everything waits for its goroutines, so that it can lean on nothing"},
		{"internal/self", []string{"internal/task", "shared/actor"}, "sdk and host meet in it, and neither may import the other"},
		{"internal/ctxvalue", nil, "it keeps values by their types, and knows none of them"},
		{"internal/logs", []string{"internal/task"}, "it hands records on, and knows nothing of what they tell"},
		{"internal/panics", []string{"shared/fault", "internal/task", "internal/words"}, "it wraps an author's function, and knows nothing of what that is for"},
		{"internal/words", nil, "errors of every layer are sentences"},
		{"internal/hub", []string{"internal/task", "shared/fault"}, "it moves values and knows none of them"},
		{"internal/histogram", nil, "it counts durations, and knows nothing of what takes them"},
		{"internal/treepath", nil, "it knows the form of paths, and nothing of who is there"},
		{"internal/callers", []string{"internal/treepath", "internal/words"}, "it knows where two actors are, and nothing of what they say"},
		{"internal/environ", nil, "config files, hosts, plugins and processes ask it"},
		{"internal/loopback", nil, "it knows names, and nothing of who asks for them"},
		{"internal/trust", []string{"internal/environ"}, "it knows identities as texts, and nothing of what speaks over the sockets"},
		{"internal/prefault", nil, "it comes before all packages that it does not import"},
		{"internal/terminal", nil, "it knows texts, and nothing of where they come from"},
		{"internal/lease", []string{"internal/task"}, "a right to live knows nothing of whose it is"},
		{"internal/cgroup", nil, "it knows the kernel's files, and nothing of whose they are"},
		{"internal/shm", nil, "it carries bytes, and knows nothing of what they mean"},
		{"internal/rundir", []string{"internal/cgroup", "internal/environ"}, "it removes what processes have left, and starts none"},
		{"internal/control", []string{"internal/codecs", "internal/link", "internal/rundir", "internal/task", "internal/wire", "shared/actor", "shared/fault"}, "it brings two programs together, and knows nothing of what they are to each other"},
		{"internal/fabric", []string{"fleet", "internal/task"}, "it connects hosts, and knows nothing of what they say"},
		{"internal/process", []string{"internal/rundir", "internal/cgroup", "internal/logs", "internal/task", "internal/terminal", "internal/environ"}, "a process knows nothing of actors and could be used without them"},
		{"internal/launch", []string{"internal/ctxvalue", "internal/process", "internal/link", "internal/wire", "shared/actor"}, "it says what a host asks of a program, and is neither of the two"},
		{"internal/recording", []string{"internal/codecs", "internal/link", "internal/wire", "internal/logs", "internal/task", "shared/actor"}, "it writes down frames, and knows nothing of what they do"},
		{"internal/lab/decl", nil, "it reads source text, and imports nothing of it"},
		{"internal/lab/page", nil, "it reads pages, and knows nothing of what they are about"},
		{"internal/lab/foreground", nil, "the tests of every package may use it"},
		{"internal/lab/tempdir", nil, "the tests of every package may use it"},
		{"internal/lab/together", nil, "the tests of every package may use it"},
		{"internal/lab/machines", []string{"host", "internal/lab/netns", "sdk", "shared"}, "it plays the machines of a fleet"},
		{"internal/lab/netns", nil, "the tests of every package may use it"},
		{"internal/lab/count", []string{"internal/lab/decl"}, "it reads source text, and imports nothing of what it measures"},
		{"internal/lab/pipe", []string{"internal/link", "internal/wire"}, "it carries packets, and knows nothing of who sends them"},
		{"internal/lab/pair", []string{"shared", "internal"}, "it joins the two ends of a link, as a host and its plugin do"},
		{"internal/lab/chaos", []string{"sdk", "host", "shared", "internal"}, "it plays hosts and plugins, as those who embed Trellis write them"},
		{"internal/lab/manifests", []string{"internal/command"}, "it reads what the command writes"},
		{"internal/lab/conform", []string{"docs/protocol/transcripts", "internal/codecs", "internal/environ", "internal/link", "internal/process", "internal/task", "internal/trust", "internal/wire"},
			"it plays a host to whatever implementation, and must not lean on what a host makes of it"},
		{"fleet", []string{"internal/task"}, "who is there, and who they are: it knows nothing of what hosts do for each other"},
		{"registry/etcd/cmd/host", []string{"internal/command", "registry/etcd"}, "the program is its command line, with a driver"},
		{"registry/etcdembed/cmd/host", []string{"internal/command", "registry"}, "the program is its command line, with two drivers"},
		{"registry/etcdembed", []string{"fleet", "registry/etcd"}, "it starts servers, and leaves all that is asked of them to a client"},
		{"registry/etcd", []string{"fleet", "internal/task"}, "it asks a registry, and knows nothing of what hosts do with the answers"},
		{"docs", nil, "a page that programs carry is still a page"},
		{"internal/lab/bench", []string{"internal", "host", "fleet", "page", "sdk", "shared", "plugins"}, "it measures all of the others: nothing but the command and tests imports it"},
		{"internal/records", []string{"shared/fault", "shared/telemetry", "internal/task", "internal/tracing", "internal/words"}, "it keeps records, and knows nothing of how they come and go"},
		{"internal/inspect", append([]string{"internal/ctxvalue", "internal/dialog", "internal/endpoint", "internal/task", "internal/terminal", "internal/treepath", "internal/wire", "internal/words"}, layers...), "life, hosts and programs that have joined meet in it: they tell, hand on and ask"},
		{"internal/document", []string{"internal/inspect", "internal/treepath", "shared"}, "it makes documents of what others have read"},
		{"internal/report", append([]string{"internal/ctxvalue", "internal/task", "internal/dialog", "internal/records", "internal/treepath", "internal/wire", "internal/words"}, layers...), "life and host meet in it: one sends what the other receives"},
		{"internal/route", append([]string{"internal/ctxvalue", "internal/dialog", "internal/endpoint", "internal/histogram", "internal/task", "internal/treepath", "internal/wire", "internal/words"}, layers...), "life and host meet in it: each has links that dialogs of others go over"},
		{"internal/life", append([]string{"internal"}, layers...), "it is an actor without the process around it: sdk has that, and tests have none"},
		{"shared/flow", []string{"shared/contract", "shared/fault", "internal/hub", "internal/panics", "internal/task"}, "it combines what package contract exports, and could be another's"},
		{"sdk", append([]string{"sdk", "internal"}, layers...), "a plugin that hosts nothing must not carry the host, nor combinators that it does not use"},
		{"host", append([]string{"fleet", "host", "internal"}, layers...), "a host calls plugins and is none, and needs no combinators"},
		{"otlp", []string{"host/config", "metrics", "shared", "internal"}, "it reads what a tree says, and neither starts nor is a part of one"},
		{"trellistest", []string{"trellistest", "fleet", "sdk", "host", "shared", "internal"}, "it starts actors and hosts as their programs do, without the processes"},
		{"plugins", []string{"plugins", "sdk", "host", "shared"}, "the bundled plugins show what a third party can do, who cannot import internal"},
		{"cmd/host", []string{"internal/command"}, "the program is its command line"},
		{"internal/command", []string{"internal/command", "fleet", "host", "mcp", "otlp", "page", "prometheus", "shared", "internal", "docs"}, "the command is a host, no plugin"},
		{"mcp", []string{"sdk", "shared", "internal/document", "internal/inspect", "internal/task", "internal/treepath", "internal/wire", "internal/words"}, "it shows what a tree says, and is a plugin, with the library for that protocol"},
		{"page", []string{"shared", "internal/document", "internal/inspect", "internal/loopback", "internal/task", "internal/treepath", "internal/wire"}, "it shows what a tree says, and neither starts nor is a part of one"},
		{"metrics", []string{"shared"}, "it names what any program can read"},
		{"prometheus", []string{"metrics", "shared"}, "it shows what any program can read, and could be another's"},
	}
	for i, layer := range layers {
		areas = append(areas, area{layer, append([]string{"internal/ctxvalue", "internal/task", "internal/panics", "internal/terminal", "internal/treepath", "internal/words", "internal/shm", "internal/histogram"}, layers[:i+1]...),
			"the layers of shared are " + strings.Join(layers, " < ") + ": a lower one can be read and tested without the upper ones"})
	}
	return areas
}

// foreign says where a module of others may be used, tests included.
var foreign = []struct {
	path    string
	folders []string
	reason  string
}{
	{"github.com/spf13/cobra", []string{"internal/command"}, "a library brings no command line along"},
	{"github.com/spf13/viper", []string{"internal/command"}, "a library reads no settings of its own"},
	{"charm.land", []string{"internal/command"}, "a library draws no screen"},
	{"github.com/charmbracelet", []string{"internal/command"}, "a library draws no screen"},
	{"golang.org/x/term", []string{"internal/command"}, "only the command has a terminal"},
	{"github.com/fsnotify/fsnotify", []string{"internal/command"}, "only host dev watches files"},
	{"github.com/prometheus", []string{"prometheus"}, "who embeds a host chooses the metrics"},
	{"github.com/hashicorp/go-plugin", []string{"host", "sdk", "internal/process", "internal/lab/bench", "internal/lab/conform", "testdata/thirdparty/kv"}, "it is needed to start and to be started; all above the link is free of it"},
	{"github.com/hashicorp/go-hclog", []string{"host", "sdk", "internal/process", "internal/lab/bench", "internal/lab/conform"}, "it is go-plugin's log; ours is log/slog"},
	{"github.com/modelcontextprotocol", []string{"mcp", "internal/command"}, "neither hosts nor plugins carry the protocol of agents"},
	{"go.opentelemetry.io/proto", []string{"otlp"}, "neither hosts nor plugins carry the protocol of collectors"},
	{"go.yaml.in/yaml", []string{"host/config/read", "internal/command"}, "one package reads files, strictly; the command writes manifests"},
	{"k8s.io", []string{"internal/lab/manifests"}, "manifests are compared with what reads them, and written without"},
	{"sigs.k8s.io", []string{"internal/lab/manifests"}, "the same"},
	{"github.com/hashicorp/nomad", []string{"internal/lab/manifests"}, "the same"},
	{"gopkg.in/yaml.v3", nil, "go.yaml.in/yaml is its successor"},
	{"go.etcd.io", []string{"registry"}, "neither hosts nor plugins carry the client of a registry"},
	{"github.com/stretchr/testify", nil, "tests use the standard library"},
}

// source is one Go file of the module, or of the module in testdata.
type source struct {
	path      string // with slashes, relative to the root
	text      []byte
	file      *ast.File
	test      bool
	generated bool
}

func (s *source) folder() string { return path.Dir(s.path) }

var fileSet = token.NewFileSet()

var sources = sync.OnceValues(func() (all []*source, err error) {
	err = filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		s, err := readSource(name)
		all = append(all, s)
		return err
	})
	return all, err
})

func readSource(name string) (*source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(fileSet, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{
		path: filepath.ToSlash(name), text: text, file: file,
		test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(file),
	}, nil
}

// eachSource reports what find finds, of all files together.
func eachSource(t *testing.T, find func(s *source) []string) {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range all {
		found = append(found, find(s)...)
	}
	if len(found) > 0 {
		t.Errorf("%d violations:\n%s", len(found), strings.Join(found, "\n"))
	}
}

func imports(s *source) []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil { // it has been parsed
			paths = append(paths, p)
		}
	}
	return paths
}

// within reports whether a slash path is a folder or lies below it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func withinAny(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(name, folder) })
}

func TestImportsStayWithinTheirAreas(t *testing.T) {
	areas := importMap()
	eachSource(t, func(s *source) (found []string) {
		if s.test || within(s.path, "testdata") {
			return nil
		}
		i := slices.IndexFunc(areas, func(a area) bool { return within(s.folder(), a.folder) })
		if i < 0 {
			return []string{s.path + ": its folder has no area in this test's import map; add one, with its reason"}
		}
		for _, p := range imports(s) {
			if ours, ok := strings.CutPrefix(p, module); ok && !withinAny(ours, areas[i].may) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", s.path, ours, areas[i].reason))
			}
		}
		return found
	})
}

func TestModulesOfOthersStayWhereTheyBelong(t *testing.T) {
	eachSource(t, func(s *source) (found []string) {
		for _, p := range imports(s) {
			for _, f := range foreign {
				if (within(p, f.path) || strings.HasPrefix(p, f.path+".")) && !withinAny(s.folder(), f.folders) {
					found = append(found, fmt.Sprintf("%s imports %s: %s", s.path, p, f.reason))
				}
			}
		}
		return found
	})
}

func TestGoroutinesAreStartedByPackageTask(t *testing.T) {
	eachSource(t, func(s *source) (found []string) {
		if s.test || s.generated || within(s.path, "internal/task") {
			return nil
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if statement, ok := n.(*ast.GoStmt); ok {
				found = append(found, fmt.Sprintf("%v: a go statement; start a task.Group's or a task.Worker's, whose owner can wait for it", fileSet.Position(statement.Pos())))
			}
			return true
		})
		return found
	})
}

// O04: what the command prints comes from plugins, configs and command lines.
func TestTheCommandPrintsThroughPackageTerminal(t *testing.T) {
	eachSource(t, func(s *source) (found []string) {
		if s.test || !within(s.path, "cmd") {
			return nil
		}
		for _, n := range printsItself(s.file) {
			found = append(found, fmt.Sprintf("%v: it prints by itself; print to the program's stdout or progress, which go through package terminal", fileSet.Position(n.Pos())))
		}
		return found
	})
}

// printsItself are the places where a command reaches the standard streams, but for
// main, which hands them to execute, and execute, which hands them to what escapes.
func printsItself(file *ast.File) (found []ast.Node) {
	escapes := map[string][]string{"execute": {"terminal.NewWriter", "newProgress", "newScreen"}, "main": {"execute"}}
	for _, d := range file.Decls {
		name := ""
		if f, ok := d.(*ast.FuncDecl); ok {
			name = f.Name.Name
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncType: // names of parameters
				return false
			case *ast.CallExpr:
				if f := types.ExprString(n.Fun); f == "print" || f == "println" {
					found = append(found, n)
				} else if slices.Contains(escapes[name], f) {
					return false
				}
			case *ast.SelectorExpr:
				if slices.Contains([]string{"os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println"}, types.ExprString(n)) {
					found = append(found, n)
				}
				return false // the stdout in p.stdout is the program's own
			case *ast.Ident:
				if name == "execute" && (n.Name == "out" || n.Name == "errs") {
					found = append(found, n)
				}
			}
			return true
		})
	}
	return found
}

func TestNothingSleeps(t *testing.T) {
	eachSource(t, func(s *source) (found []string) {
		name := importName(s.file, "time")
		if strings.HasSuffix(s.path, "_test.go") && usesFakeTime(filepath.Dir(s.path)) {
			return nil // a sleep in a synctest bubble takes no time, and orders what happens
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == name {
				found = append(found, fmt.Sprintf("%v: time.Sleep; wait for the event, or for a timer beside ctx.Done", fileSet.Position(n.Pos())))
			}
			return true
		})
		return found
	})
}

// usesFakeTime reports whether a folder's tests run in synctest bubbles.
func usesFakeTime(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), `"testing/synctest"`) {
			return true
		}
	}
	return false
}

// importName is what a file calls a package; "" if it does not import it.
func importName(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

var emptyName = regexp.MustCompile(`^(.*_)?(utils?|helpers?|common|types|misc)(_.*)?\.go$`)

func TestFilesHaveASubjectAndASize(t *testing.T) {
	const most = 500
	eachSource(t, func(s *source) (found []string) {
		if emptyName.MatchString(path.Base(s.path)) {
			found = append(found, s.path+": its name says nothing; call it after what it does")
		}
		if lines := strings.Count(string(s.text), "\n"); lines > most && !s.test && !s.generated {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d; split it by subject", s.path, lines, most))
		}
		return found
	})
}

func TestEveryPackageHasOneDocComment(t *testing.T) {
	files := map[string][]string{} // per folder, those with a package comment
	eachSource(t, func(s *source) []string {
		if s.test || within(s.path, "testdata") {
			return nil
		}
		files[s.folder()] = append(files[s.folder()], commented(s)...)
		return nil
	})
	for folder, with := range files {
		if len(with) != 1 {
			t.Errorf("%s has %d package comments, want 1: %v", folder, len(with), with)
		}
	}
}

func commented(s *source) []string {
	if s.generated || s.file.Doc == nil || strings.TrimSpace(s.file.Doc.Text()) == "" {
		return nil
	}
	return []string{s.path}
}

func TestExportedIdentifiersAreDocumented(t *testing.T) {
	eachSource(t, func(s *source) (found []string) {
		if s.test || s.generated || s.file.Name.Name == "main" {
			return nil
		}
		for _, d := range s.file.Decls {
			for _, id := range undocumented(d) {
				found = append(found, fmt.Sprintf("%v: %s has no doc comment", fileSet.Position(id.Pos()), id.Name))
			}
		}
		return found
	})
}

// undocumented are the exported names of a declaration without a comment. Methods
// that implement what the standard library describes need none.
func undocumented(d ast.Decl) (ids []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && receiverExported(d) && !wellKnown(d) {
			ids = append(ids, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			ids = append(ids, undocumentedSpec(spec, d.Doc != nil)...)
		}
	}
	return ids
}

func undocumentedSpec(spec ast.Spec, groupDocumented bool) (ids []*ast.Ident) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Doc == nil && !groupDocumented && spec.Name.IsExported() {
			ids = append(ids, spec.Name)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if spec.Doc == nil && spec.Comment == nil && !groupDocumented && name.IsExported() {
				ids = append(ids, name)
			}
		}
	}
	return ids
}

func receiverExported(d *ast.FuncDecl) bool {
	return d.Recv == nil || ast.IsExported(decl.Receiver(d))
}

// wellKnown are methods whose names say what they do.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "String", "Unwrap", "Is", "As", "Format", "GoString"}, d.Name.Name)
}
