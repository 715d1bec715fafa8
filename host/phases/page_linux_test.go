package phases_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/decl"
)

var update = flag.Bool("update", false, "write the tables of docs/what-returns-when.md")

const page = "../../docs/what-returns-when.md"

var tables = []table{actorTable, foreignTable, nurseryTable, contextTable}

// elsewhere are the functions that wait for what their caller gives them, and have no
// phase of their own.
var elsewhere = [][2]string{
	{"OpenNursery", "returns when its function has, and all children are reaped: each of them ends within the bounds of its Spec once it was asked to"},
	{"OpenTree", "as OpenNursery; what starts waits as Nursery.Start does"},
	{"Subtree", "as OpenTree, around serve"},
	{"Build", "returns when the builds have ended; the end of ctx ends them"},
	{"Tree.Portal", "returns at once"},
	{"Tree.Scale", "waits for the replicas that it starts, as Nursery.Start does, and until those that it ends are gone, each within the bounds of its Spec; the end of ctx gives up the former and leaves the latter to their end"},
	{"Tree.Apply", "waits for the actors that it starts and restarts, as Nursery.Start does, for those that it ends, and for hosts to do the same; the end of ctx gives up what is new and not up, and leaves the rest to go on"},
	{"Tree.Plan", "waits for the hosts in the tree to answer"},
	{"Join", "returns when its function has, and this program has left the tree"},
	{"Agent", "returns when its ctx has ended, and what it has run is gone: its hosts have `Drain` (30 s) to start that elsewhere"},
	{"OpenGroup", "returns when its function has, and each context of the group has ended as that of an Open"},
	{"ContextEndpoint.OpenIn", "waits until the actor can be called, as Open does; the group waits for the context"},
	{"Group.Go", "returns at once; the group waits for the task"},
	{"Group.Cancel", "returns at once; OpenGroup waits for the contexts"},
	{"Shared.Use", "waits for opening, for the function that it was given, and, as the last user, for closing; the end of ctx ends the first and cancels the function"},
	{"Publish", "is a handler: its subscribers' contexts end as those of a Source"},
	{"Subscription.Recv", "as Stream.Recv of the stream behind it"},
	{"Subscription.All", "as Stream.All of the stream behind it"},
	{"WaitFor", "waits for a ready actor of that name; the end of ctx gives its cause, that of the tree ErrNotFound"},
	{"Watch", "as Events: it ends with ctx, or with the tree"},
	{"Memory.Watch", "as Watch"},
	{"Memory.Events", "as Watch"},
	{"Opener.Go", "returns at once; the scope waits for the task"},
	{"Callee.Go", "returns at once; the handler's end waits for the task"},
	{"Plugin.Serve", "does not return: the process ends when its host says so, or is gone"},
	{"Serve", "does not return: as Plugin.Serve"},
	{"OnExit", "returns at once; the hooks are bounded by the host's grace"},
}

// waiting reports whether a function may wait: it takes a ctx or code of its caller's, or
// gives a channel, or its name says so. That it does not is said in atOnce.
func waiting(d *ast.FuncDecl) bool {
	wait := false
	for _, list := range []*ast.FieldList{d.Type.Params, d.Type.Results} {
		if list == nil {
			continue
		}
		for _, field := range list.List {
			ast.Inspect(field.Type, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.FuncType, *ast.ChanType:
					wait = true
				case *ast.SelectorExpr:
					name := fmt.Sprint(x.X, ".", x.Sel)
					wait = wait || name == "context.Context" || strings.HasPrefix(name, "iter.Seq")
				}
				return true
			})
		}
	}
	return wait || slices.Contains([]string{"Wait", "Close", "Cancel", "Serve", "Started"}, d.Name.Name)
}

// atOnce are the functions that look as if they waited and do not: they read a ctx's
// values, or keep the code that they are given.
var atOnce = []string{
	"FromContext", "WithEvents", "SubtreeWith", "Parent", "Self", "WithMetadata", "MetadataFrom",
	"Hibernate", "Opener.Hibernate", "FuncEndpoint.Handle", "SourceEndpoint.Handle", "ContextEndpoint.Handle",
	"Stream.Close", "Subscription.Close",
	"Find", "FindAll", "Query", "From", "With", "Here", "ByName", "ByKey", "Spread", "Memory.Entries", "Memory.Missing", "NewMemory", "Memory.Join",
}

// publicFuncs are the exported functions of the packages that programs use.
func publicFuncs(t *testing.T) map[string]*ast.FuncDecl {
	all := map[string]*ast.FuncDecl{}
	for _, dir := range []string{"..", "../../sdk", "../../shared/contract", "../../shared/directory", "../../shared/flow"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if d, ok := d.(*ast.FuncDecl); ok && d.Name.IsExported() {
					if name := decl.Name(d); ast.IsExported(name) {
						all[name] = d
					}
				}
			}
		}
	}
	return all
}

// P14: no public function that waits is missing in the tables, and none is there twice or
// is not there any more.
func TestP14_TheTablesHaveEveryFunctionThatWaits(t *testing.T) {
	public, known := publicFuncs(t), map[string]bool{}
	note := func(name string, again bool) {
		if name, _, _ = strings.Cut(name, ","); known[name] && !again {
			t.Errorf("%s is there twice", name)
		}
		if known[name] = true; public[name] == nil {
			t.Errorf("%s is in a table, and not in the code", name)
		}
	}
	for _, tab := range tables {
		for _, r := range tab.rows {
			note(r.name, tab.title == foreignTable.title) // the same functions, of another kind of child
			if len(r.cells) != len(tab.columns) {
				t.Errorf("%s has %d cells for %d columns", r.name, len(r.cells), len(tab.columns))
			}
		}
	}
	for _, e := range elsewhere {
		note(e[0], false)
	}
	for _, name := range atOnce {
		note(name, false)
	}
	for name, d := range public {
		if waiting(d) && !known[name] {
			t.Errorf("%s may wait, and no table says what it gives when; see %s", name, page)
		}
	}
}

// markdown is a table for the page. Functions that give the same in every phase are one row.
func (tab table) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "### %s\n\n| | %s |\n|%s\n", tab.title, strings.Join(tab.columns, " | "), strings.Repeat("---|", len(tab.columns)+1))
	done := map[string]bool{}
	for i, r := range tab.rows {
		if done[r.name] {
			continue
		}
		var names []string
		for _, same := range tab.rows[i:] {
			if slices.Equal(same.cells, r.cells) {
				names = append(names, "`"+same.name+"`")
				done[same.name] = true
			}
		}
		fmt.Fprintf(&text, "| %s |", strings.Join(names, ", "))
		for _, cell := range r.cells {
			text.WriteString(" " + strings.Replace(strings.Replace(cell, "waits, ", "waits; ", 1), "holds, ", "*waits*; ", 1) + " |")
		}
		text.WriteString("\n")
	}
	return text.String()
}

func TestP14_ThePageHasTheTables(t *testing.T) {
	const begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), begin)
	_, tail, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no place for the tables", page)
	}
	var text strings.Builder
	for _, tab := range tables {
		text.WriteString(tab.markdown() + "\n")
	}
	text.WriteString("### What has no phase of its own\n\n| | |\n|---|---|\n")
	for _, e := range elsewhere {
		fmt.Fprintf(&text, "| `%s` | %s |\n", e[0], e[1])
	}
	want := head + begin + text.String() + end + tail
	if *update {
		err = os.WriteFile(page, []byte(want), 0o600)
	} else if want != string(raw) {
		t.Errorf("%s is not what the tables are; write it with -update", page)
	}
	if err != nil {
		t.Fatal(err)
	}
}
