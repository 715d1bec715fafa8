package trellistest

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Program is a plugin program as it is: it is built, and started by a real host, which ends
// with the test. It is for what a [Plugin] cannot show: the start of the process, its signals,
// what it leaves behind, and code that must not run in the test's own process.
type Program struct {
	// Spec is how it is started, as in the tree of its host. Package, or the first element
	// of Command, is relative to the folder of the test. Name may be empty.
	Spec host.Spec
	// Parent is what the host serves: the program calls it through sdk.Parent.
	Parent []contract.Handler
	// Race builds Package with the race detector, and fails the test if that finds something. A
	// program of Command must have been built with -race.
	Race bool
	// Cover builds Package so that what runs of it is written to where the test writes its own
	// coverage, -test.gocoverdir, or else to the folder of the variable GOCOVERDIR, if there
	// is one of them. The go command merges all that is in such a folder (go tool covdata);
	// the profile that it makes by itself, -coverprofile, is of the test binary alone.
	Cover bool
	// MayDie says that the test may make the program die: that alone does not fail it.
	MayDie bool

	dying time.Duration // how long what was told to end may take to be gone, before it is reported; 0 stands for 5 s
}

// Race is [Program.Race], for [Exec].
func Race(p *Program) { p.Race = true }

// Cover is [Program.Cover], for [Exec].
func Cover(p *Program) { p.Cover = true }

// Exec starts a plugin program for as long as t runs, and returns a portal to it: path is
// a Go package, such as ./plugins/parser, or an executable file.
//
//	parser := trellistest.Exec(t, "./plugins/parser", trellistest.Race, trellistest.Cover)
//
// At the end of the test the program is asked to end. The test fails, with a list, if that
// fails, if the program has died before, and if something is left: processes that it has
// started, files in its TMPDIR, and descriptors of the test's process. Processes and
// descriptors are found on Linux only. Descriptors are counted if no other test runs beside
// this one; call t.Parallel, if at all, before Exec.
func Exec(t testing.TB, path string, how ...func(*Program)) *host.Portal {
	t.Helper()
	var p Program
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		p.Spec.Command = []string{path}
	} else {
		p.Spec.Package = path
	}
	for _, set := range how {
		set(&p)
	}
	return p.Exec(t)
}

// Exec starts the program for as long as t runs, and returns a portal to it. See [Exec].
func (p Program) Exec(t testing.TB) *host.Portal {
	t.Helper()
	e, err := p.prepare(t)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { e.finish(t) })
	e.nursery = task.Start(func() { e.run(context.WithoutCancel(t.Context())) })
	<-e.started
	if e.portal == nil {
		e.nursery.Wait()
		err := e.err
		e.err = nil // it is told here
		t.Fatalf("%v", err)
	}
	return e.portal
}

// execution is a program that runs for a test. The goroutine of nursery owns the program;
// portal and err are its own until started, and the nursery, are over.
type execution struct {
	Program
	temp  string // TMPDIR of the program
	races string // what the race detector's reports begin with; "" without Race
	stock stock
	log   *testLog

	nursery *task.Worker
	started chan struct{}
	portal  *host.Portal
	over    chan struct{} // closed when the test has ended
	err     error
}

// prepare builds the program, and takes stock of what is there before it.
func (p Program) prepare(t testing.TB) (_ *execution, err error) {
	p.Spec.Env = maps.Clone(p.Spec.Env)
	if p.Spec.Env == nil {
		p.Spec.Env = map[string]string{}
	}
	e := &execution{log: &testLog{t: t}, started: make(chan struct{}), over: make(chan struct{})}
	if p.Race {
		e.races = filepath.Join(t.TempDir(), "race")
		p.Spec.Env["GORACE"] = strings.TrimSpace(os.Getenv("GORACE") + " log_path=" + e.races)
	}
	if p.Spec, err = p.build(t); err != nil {
		return nil, err
	}
	if e.temp, err = os.MkdirTemp("", "exec-"); err != nil { //nolint:usetesting // the path of t.TempDir is too long for sockets
		return nil, err
	}
	p.Spec.Env["TMPDIR"] = e.temp
	e.stock = takeStock(t, p.Spec.Env, cmp.Or(p.dying, 5*time.Second))
	e.Program = p
	return e, nil
}

// build makes a program of the package, if there is one, and a name if there is none.
func (p Program) build(t testing.TB) (spec host.Spec, err error) {
	spec = p.Spec
	if spec.Name == "" {
		from, err := filepath.Abs(slices.Concat(spec.Command, []string{spec.Package})[0])
		if err != nil {
			return spec, err
		}
		spec.Name = strings.TrimSuffix(filepath.Base(from), filepath.Ext(from))
	}
	var flags []string
	if p.Race {
		flags = append(flags, "-race")
	}
	if dir := coverage(); p.Cover && dir != "" {
		spec.Env["GOCOVERDIR"] = dir
		flags = append(flags, "-cover", "-covermode="+cmp.Or(testing.CoverMode(), "set"))
	}
	if spec.Package != "" && len(flags) > 0 {
		// Not host.Build: such a program must not be what the next host finds in the cache.
		file := filepath.Join(t.TempDir(), spec.Name)
		args := append(append([]string{"build", "-o", file}, flags...), "--", spec.Package)
		if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
			return spec, fmt.Errorf("package %s does not build: %w\n%s", spec.Package, err, out)
		}
		spec.Package, spec.Command = "", []string{file}
	}
	actors, err := host.Build(t.Context(), ".", []host.Spec{spec}, nil)
	if err != nil {
		return spec, err
	}
	if p.Race {
		err = tellsRaces(actors[0].Command[0])
	}
	return actors[0], err
}

// tellsRaces fails unless a program was built with the race detector.
func tellsRaces(program string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	const mend = "give its Package instead, or leave Race out"
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("trellistest: Race: %s is not a Go program, so nobody looks for its races; %s: %w", path, mend, err)
	}
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return fmt.Errorf("trellistest: Race: %s is built without -race, so nobody looks for its races; build it with -race, or %s", path, mend)
	}
	return nil
}

// coverage is the folder where the coverage of this test is gathered; "" if it is not. The
// variable of a test under go test -cover is the go command's own, and so is the flag unless
// somebody has set that, too.
func coverage() string {
	if f := flag.Lookup("test.gocoverdir"); f != nil && f.Value.String() != "" {
		return f.Value.String()
	}
	return os.Getenv("GOCOVERDIR")
}

// run is the host of the program, until the test is over.
func (e *execution) run(ctx context.Context) {
	started := sync.OnceFunc(func() { close(e.started) })
	defer started()
	log := slog.New(slog.NewTextHandler(e.log, nil))
	ctx = host.WithEvents(ctx)
	defer func() { e.err = cmp.Or(e.err, crash(ctx)) }()
	e.err = host.OpenNursery(ctx, host.Options{Name: "test", Endpoints: e.Parent, Log: log}, func(ctx context.Context, n *host.Nursery) error {
		portal, err := n.Start(ctx, e.Spec)
		if err != nil {
			return err
		}
		e.portal = portal
		started()
		select {
		case <-e.over:
			return portal.Cancel(ctx, "the test is over")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// crash is why the program has ended by itself, nil if it has not. A nursery does not return
// the death of an actor that was asked to end in the same moment.
func crash(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()                              // all has happened
	for event := range host.Events(ctx) { //nolint:errcheck // it gives no error
		if event.To == directory.Reaped && event.Cause == directory.Crashed && !strings.Contains(event.Path, "/") { // not of what it hosts
			return event.Err
		}
	}
	return nil
}

// finish ends the program, and reports what it has left.
func (e *execution) finish(t testing.TB) {
	t.Helper()
	close(e.over)
	e.nursery.Wait()
	defer e.log.end()
	if _, died := errors.AsType[*fault.ActorDied](e.err); e.err != nil && (!died || !e.MayDie) {
		t.Errorf("%+v", e.err)
	}
	for _, left := range e.stock.left() {
		t.Errorf("%s has left %s", e.Spec.Name, left)
	}
	e.reportFiles(t)
	e.reportRaces(t)
}

func (e *execution) reportFiles(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(e.temp)
	for _, entry := range entries {
		t.Errorf("%s has left a temporary file: %s", e.Spec.Name, entry.Name())
	}
	if err = errors.Join(err, os.RemoveAll(e.temp)); err != nil {
		t.Errorf("the temporary folder of %s: %v", e.Spec.Name, err)
	}
}

func (e *execution) reportRaces(t testing.TB) {
	t.Helper()
	if e.races == "" {
		return
	}
	files, err := filepath.Glob(e.races + ".*") // one for each process
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the race detector's
		if err != nil {
			t.Errorf("%v", err)
		}
		t.Errorf("%s has data races:\n%s", e.Spec.Name, text)
	}
}

// testLog is the log of a test, which nothing must be written to once the test is over: a
// host does not wait for its log for ever. mu guards over.
type testLog struct {
	t testing.TB

	mu   sync.Mutex
	over bool
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return len(b), nil
	}
	return l.t.Output().Write(b)
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
