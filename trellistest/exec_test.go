package trellistest_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// What the test binary does as a plugin: a program with bad habits.
var (
	litter    = contract.Func[string, none]("litter")
	die       = contract.Func[int, none]("die")
	askParent = contract.Func[none, string]("ask")
	secret    = contract.Func[none, string]("secret")
	markOf    = contract.Func[none, string]("mark")
	doCount   = contract.Func[int, int]("count")
)

type none struct{}

func serveBadly() {
	sdk.Serve(
		litter.Handle(func(_ context.Context, name string) (none, error) {
			return none{}, os.WriteFile(filepath.Join(os.TempDir(), name), nil, 0o600)
		}),
		die.Handle(func(_ context.Context, code int) (none, error) {
			fmt.Fprintln(os.Stderr, "no way out")
			os.Exit(code)
			return none{}, nil
		}),
		markOf.Handle(func(context.Context, none) (string, error) { return os.Getenv("TRELLISTEST_EXEC"), nil }),
		askParent.Handle(func(ctx context.Context, _ none) (string, error) {
			return secret.Call(ctx, sdk.Parent(ctx), none{})
		}),
	)
}

// bad is the test binary as that program.
func bad(t *testing.T) trellistest.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return trellistest.Program{Spec: host.Spec{
		Name: "bad", Command: []string{self}, Env: map[string]string{roleVar: "bad", "GORACE": "atexit_sleep_ms=0"},
	}}
}

// A bundled plugin, built and started as it is.
func TestExec(t *testing.T) {
	walker := trellistest.Exec(t, "../plugins/walker")
	n := 0
	for _, err := range census.Walk.Stream(t.Context(), walker, census.Root{Root: "testdata"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 || walker.Name() != "walker" {
		t.Errorf("%d files from %s", n, walker.Name())
	}
}

func TestExecServesTheParent(t *testing.T) {
	p := bad(t)
	p.Parent = []contract.Handler{secret.Handle(func(context.Context, none) (string, error) { return "open", nil })}
	text, err := askParent.Call(t.Context(), p.Exec(t), none{})
	if text != "open" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// A test in which nothing is wrong reports nothing, and one in which something is left says what.
func TestExecFindsWhatIsLeft(t *testing.T) {
	p := bad(t)
	if problems := recordIn(t, func(t testing.TB) { p.Exec(t) }); len(problems) != 0 {
		t.Errorf("problems: %q", problems)
	}
	wantOne(t, recordIn(t, func(t testing.TB) {
		if _, err := litter.Call(t.Context(), p.Exec(t), "crumbs"); err != nil {
			t.Errorf("%v", err)
		}
	}), "bad has left a temporary file: crumbs")
}

func TestExecReportsADeathUnlessItIsWanted(t *testing.T) {
	p := bad(t)
	test := func(t testing.TB) {
		if _, err := die.Call(t.Context(), p.Exec(t), 3); err == nil {
			t.Errorf("the call has an answer")
		}
	}
	wantOne(t, recordIn(t, test), "exit code 3", "no way out")
	p.MayDie = true
	if problems := recordIn(t, test); len(problems) != 0 {
		t.Errorf("problems: %q", problems)
	}
}

func TestExecFailsIfTheProgramDoesNotStart(t *testing.T) {
	wantOne(t, recordIn(t, func(t testing.TB) { trellistest.Exec(t, "./testdata/nothing") }), "does not build", "testdata/nothing")
	wantOne(t, recordIn(t, func(t testing.TB) { trellistest.Exec(t, "/bin/true") }), "ended before it shook hands")
}

func TestExecReportsDataRaces(t *testing.T) {
	wantOne(t, recordIn(t, func(t testing.TB) {
		if _, err := doCount.Call(t.Context(), trellistest.Exec(t, "./testdata/racy", trellistest.Race), 100); err != nil {
			t.Errorf("%v", err)
		}
	}), "racy has data races", "WARNING: DATA RACE", "racy/main.go:17")
}

// Races that a program cannot tell are not looked for in vain.
func TestExecWithRaceWantsAProgramBuiltForIt(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(strings.TrimSpace(string(root)), "bin", "go") // a program of Go, without -race
	wantOne(t, recordIn(t, func(t testing.TB) { trellistest.Exec(t, tool, trellistest.Race) }), tool, "is built without -race", "Package")
	wantOne(t, recordIn(t, func(t testing.TB) {
		trellistest.Program{Spec: host.Spec{Command: []string{"true"}}, Race: true}.Exec(t)
	}), "true", "is not a Go program", "Package")
}

// The coverage of the program goes where that of the test goes.
func TestExecCovers(t *testing.T) {
	dir := t.TempDir()
	dirFlag := flag.Lookup("test.gocoverdir")
	before := dirFlag.Value.String() // of a test whose coverage is measured
	set := func(to string) {
		if err := dirFlag.Value.Set(to); err != nil {
			t.Error(err)
		}
	}
	set(dir)
	defer func() { set(before) }()
	t.Run("test", func(t *testing.T) {
		if _, err := doCount.Call(t.Context(), trellistest.Exec(t, "./testdata/racy", trellistest.Cover), 1); err != nil {
			t.Error(err)
		}
	})
	out, err := exec.CommandContext(t.Context(), "go", "tool", "covdata", "percent", "-i="+dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "trellistest/testdata/racy\t\tcoverage: 100.0% of statements") {
		t.Errorf("%v\n%s", err, out)
	}
}

// recordIn is record with all that t has.
func recordIn(t *testing.T, f func(t testing.TB)) []string {
	t.Helper()
	return recordWith(&recorder{TB: t}, f)
}
