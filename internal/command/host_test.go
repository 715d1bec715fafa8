package command

import (
	"archive/zip"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/bench"
	"github.com/seed-2ba35074/trellis/internal/lab/foreground"
	"github.com/seed-2ba35074/trellis/internal/lab/together"
	conformplugin "github.com/seed-2ba35074/trellis/plugins/conform/program"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// roleVar makes the test binary a plugin instead of a test or the command.
const roleVar = "HOST_COMMAND_ROLE"

// atOnce lets programs under the race detector end without its second of waiting.
const atOnce = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	bench.Serve()
	switch os.Getenv(roleVar) {
	case "plugin":
		sdk.Serve(jobs()...)
	case "hosting":
		sdk.Plugin{Endpoints: jobs(), Hosts: host.Subtree}.Serve()
	case "conform":
		conformplugin.Serve()
	case "venomous":
		sdk.Serve(venomous()...)
	}
	testscript.Main(guest{m}, map[string]func(){"host": Main, "agent": agent})
}

// guest runs the tests so that they, and all that they start, leave nothing behind.
type guest struct{ *testing.M }

func (g guest) Run() (code int) {
	foreground.Signals()
	together.Tests()
	dir, err := os.MkdirTemp("", "h-") // short: names of sockets are in it
	compiled, none := os.UserCacheDir()
	if err = errors.Join(err, none); err == nil {
		err = errors.Join(os.Setenv("GORACE", atOnce), os.Setenv("TMPDIR", dir),
			os.Setenv("GOCACHE", cmp.Or(os.Getenv("GOCACHE"), filepath.Join(compiled, "go-build"))), // which is not ours to remove
			os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")))
	}
	if err != nil {
		panic(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return g.M.Run()
}

func TestScript(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var scripts atomic.Int32 // each has a port, as they run at the same time
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("PLUGIN", self)
			e.Setenv("GORACE", atOnce)
			pid := os.Getpid()
			e.Setenv("LISTEN", fmt.Sprintf("127.%d.%d.%d:%d", 1+pid>>16&127, pid>>8&255, pid&255, 7077+scripts.Add(1))) // on the loopback, this process's own
			return errors.Join(shortTemp(e), shareModules(e))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "awaits": awaits, "scrape": scrape, "dumped": dumped, "unzips": unzips, "awaits-output": awaitsOutput},
	})
}

// shortTemp gives a script a folder for temporary files whose path leaves room for
// the names of sockets.
func shortTemp(e *testscript.Env) error {
	dir, err := os.MkdirTemp("", "host-")
	e.Setenv("TMPDIR", dir)
	e.Defer(func() { _ = os.RemoveAll(dir) }) // the system clears it otherwise
	return err
}

// shareModules lets the go command of a script use what this one has compiled and downloaded.
func shareModules(e *testscript.Env) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	e.Setenv("TRELLIS", root)
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB").Output()
	if err != nil {
		return err
	}
	settings := map[string]string{}
	err = json.Unmarshal(out, &settings)
	for name, value := range settings {
		e.Setenv(name, value)
	}
	return err
}

// exits runs a command that must end with the given code: exits 2 host validate.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [argument …]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// awaits waits until a regular expression is found in a file: awaits dev.log 'done in'.
func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits file regexp")
	}
	untilFound(ts, args[1], func() string { return ts.ReadFile(args[0]) })
}

// awaitsOutput runs a command until a regular expression is found in what it prints: awaits-output '^a +waiting ' host ps a.
func awaitsOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: awaits-output regexp command [argument …]")
	}
	untilFound(ts, args[0], func() string {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			return ""
		}
		return ts.ReadFile("stdout")
	})
}

// untilFound looks at a text again and again.
func untilFound(ts *testscript.TestScript, pattern string, look func() string) {
	wanted := regexp.MustCompile("(?m)" + pattern)
	for late := time.After(5 * time.Minute); ; {
		text := look()
		if wanted.MatchString(text) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			ts.Fatalf("no %s in:\n%s", pattern, text)
		}
	}
}

// dumped returns when a dump for which a signal has asked has a line like this, and no others can read it. Nothing but the
// file tells that, so it looks again and again.
func dumped(ts *testscript.TestScript, _ bool, args []string) {
	line := regexp.MustCompile("(?m)" + args[0])
	for {
		files, err := filepath.Glob(filepath.Join(ts.Getenv("HOME"), ".cache", "trellis", "dumps", "dump-*.txt"))
		ts.Check(err)
		for _, file := range files {
			info, err := os.Stat(file)
			ts.Check(err)
			if text, err := os.ReadFile(file); err == nil && line.Match(text) {
				if info.Mode().Perm() != 0o600 {
					ts.Fatalf("%s has the mode %v", file, info.Mode())
				}
				return
			}
		}
		runtime.Gosched()
	}
}

// unzips puts the files of an archive into a folder: unzips bundle.zip folder.
func unzips(ts *testscript.TestScript, _ bool, args []string) {
	archive, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer archive.Close()
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), archive))
}

type (
	name struct {
		Name string `json:"name"`
	}
	greeting struct {
		Text    string `json:"text"`
		Letters int    `json:"letters_sent"`
	}
	amount struct {
		N int `json:"n"`
	}
	far struct {
		Done   int      `json:"done_so_far"`
		Worker []amount `json:"workers"`
	}
)

var (
	greet  = contract.Func[name, greeting]("greet")
	fail   = contract.Func[none, none]("fail")
	list   = contract.Source[amount, amount]("list")
	count  = contract.Context[amount, none, none, far, amount]("count")
	giveUp = contract.Context[none, none, none, none, none]("give-up")
	hail   = contract.Func[string, string]("hail")
	echo   = contract.Func[any, any]("echo")
	tally  = contract.Context[amount, greeting, amount, amount, far]("tally")
	// producing is how many lists and tallies are being made.
	producing = contract.Func[none, int]("producing")
)

// jobs are what the plugin of the tests can do.
func jobs() []contract.Handler {
	var lists atomic.Int64
	return []contract.Handler{
		producing.Handle(func(context.Context, none) (int, error) { return int(lists.Load()), nil }),
		greet.Handle(func(_ context.Context, n name) (greeting, error) {
			return greeting{"Hello, " + n.Name, 1234}, nil
		}),
		hail.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }),
		echo.Handle(func(_ context.Context, v any) (any, error) { return v, nil }),
		fail.Handle(func(context.Context, none) (none, error) { return none{}, errors.New("out of paper") }),
		list.Handle(func(_ context.Context, a amount) iter.Seq2[amount, error] {
			return func(yield func(amount, error) bool) {
				lists.Add(1)
				defer lists.Add(-1)
				for i := range a.N {
					if !yield(amount{i}, nil) {
						return
					}
				}
			}
		}),
		count.Handle(serveCount),
		tally.Handle(func(ctx context.Context, a amount, c *contract.Callee[greeting, amount, amount]) (far, error) {
			lists.Add(1)
			defer lists.Add(-1)
			return serveTally(ctx, a, c)
		}),
		giveUp.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, none, none]) (none, error) {
			return none{}, c.Cancel(ctx, "no time today")
		}),
	}
}

// serveCount reports how far it is, slowly enough for every message to be drawn.
func serveCount(ctx context.Context, a amount, c *contract.Callee[none, none, far]) (amount, error) {
	if err := c.Started(none{}); err != nil {
		return amount{}, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return amount{}, err
	}
	ticker := time.NewTicker(2 * drawEvery)
	defer ticker.Stop()
	for i := range a.N {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return amount{}, context.Cause(ctx)
		}
		if err := stream.Send(ctx, far{i, []amount{{i}}}); err != nil {
			return amount{}, err
		}
	}
	return a, nil
}

// serveTally adds up what it is sent, and says each time how much that is.
func serveTally(ctx context.Context, a amount, c *contract.Callee[greeting, amount, amount]) (sum far, err error) {
	if err := c.Started(greeting{Text: "ready", Letters: a.N}); err != nil {
		return sum, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return sum, err
	}
	for more, err := range stream.All(ctx) {
		if err != nil {
			return sum, err
		}
		if a.N += more.N; a.N < 0 {
			break // no more is wanted
		}
		sum.Worker = append(sum.Worker, more)
		if err := stream.Send(ctx, a); err != nil {
			return sum, err
		}
	}
	sum.Done = a.N
	return sum, nil
}
