package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/foreground"
	"github.com/seed-2ba35074/trellis/internal/lab/together"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// roleVar makes the test binary a plugin, good or bad, instead of a test.
const roleVar = "HOST_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
		return
	}
	foreground.Signals()
	together.Tests()
	// The forker keeps its thread for as long as the program runs.
	goleak.VerifyTestMain(house{m}, goleak.IgnoreTopFunction("github.com/seed-2ba35074/trellis/internal/process.forkLoop"))
}

// house is all tests, after which no process may be left.
type house struct{ *testing.M }

func (h house) Run() (code int) {
	code = h.M.Run()
	if left, err := children(); err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "processes are left:", left, err)
		code = 1
	}
	return code
}

// beside has the names of the tests that run beside others.
var beside sync.Map

// parallel has a test run beside others that say so. What it starts must be made by spec or foreign, so that its
// processes are told from theirs; it must neither count what is the whole program's nor change it, as environment variables.
func parallel(t *testing.T) {
	t.Helper()
	beside.Store(testOf(t), true)
	t.Parallel()
}

// testOf is what a test has in common with its subtests, and ofVar the variable that says it to their processes.
func testOf(t testing.TB) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

const ofVar = "HOST_TEST_OF"

// The endpoints of the good plugin.
var (
	echo         = contract.Func[string, string]("echo")
	fail         = contract.Func[string, string]("fail")
	crash        = contract.Func[int, string]("crash")
	whoami       = contract.Func[struct{}, actor.ID]("whoami")
	lookup       = contract.Func[string, sight]("lookup")
	forever      = contract.Context[none, none, none, none, none]("forever")
	stuck        = contract.Context[none, none, none, none, none]("stuck")
	stuckForEver = contract.Func[none, none]("stuck_for_ever")
	say          = contract.Func[string, struct{}]("say")
	numbers      = contract.Source[int, int]("numbers")
	double       = contract.Context[string, string, int, int, int]("double")
	parent       = contract.Func[string, string]("parent")
	below        = contract.Func[string, string]("below")
	upper        = contract.Func[string, string]("upper") // served by the host
	wellness     = contract.Func[none, none]("wellness")  // fails once sicken was called
	sicken       = contract.Func[none, none]("sicken")
	gated        = contract.Func[none, none]("gated")
)

type none = struct{}

// hold opens a context in a nursery's goroutine and returns when it runs there.
// What the context ended with comes out of the channel.
func hold(ctx context.Context, n *host.Nursery, e contract.ContextEndpoint[none, none, none, none, none], p contract.Portal) <-chan error {
	running, ended := make(chan struct{}), make(chan error, 1)
	n.Go(func() {
		_, err := e.Open(context.WithoutCancel(ctx), p, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			close(running)
			<-ctx.Done()
			return ctx.Err()
		})
		ended <- err
	})
	<-running
	return ended
}

// roles has the roles that role adds, by name.
var roles = map[string]func(){}

// role adds a role that the test binary plays as another program. It is for the files that need one.
func role(name string, act func()) {
	if _, ok := roles[name]; ok {
		panic(fmt.Sprintf("two roles are called %q", name))
	}
	roles[name] = act
}

func play(name string) {
	if act, ok := roles[name]; ok {
		act()
		return
	}
	switch name {
	case "good":
		sdk.Serve(goodEndpoints()...)
	case "services":
		sdk.Plugin{Endpoints: goodEndpoints(), Services: kvPlugin{}.GRPCServer}.Serve()
	case "hosting":
		sdk.Plugin{Endpoints: goodEndpoints(), Hosts: host.Subtree}.Serve()
	case "hangs in boot", "exits in boot", "panics in boot", "fails in boot":
		sdk.Plugin{Hosts: func(context.Context, []byte, func(context.Context) error) error {
			switch name {
			case "exits in boot":
				os.Exit(3)
			case "panics in boot":
				panic("while booting")
			case "fails in boot":
				return fmt.Errorf("no database: %w", os.ErrNotExist)
			}
			select {}
		}}.Serve()
	default:
		if !playForeign(name) {
			playBad(name)
		}
	}
}

func goodEndpoints() []contract.Handler {
	return []contract.Handler{
		echo.Handle(func(_ context.Context, s string) (string, error) { return s, nil }),
		fail.Handle(func(_ context.Context, s string) (string, error) {
			if s == "panic" {
				panic("as asked")
			}
			return "", fmt.Errorf("%s: %w", s, os.ErrNotExist)
		}),
		crash.Handle(func(ctx context.Context, code int) (string, error) {
			if p := trellistest.ProcessOf(ctx); p != nil {
				p.Stderr("famous last words")
				p.Die(code)
				return "", nil
			}
			fmt.Fprintln(os.Stderr, "famous last words")
			if code < 0 {
				self, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = self.Kill()
				}
				<-ctx.Done()
				return "", err
			}
			os.Exit(code)
			return "", nil
		}),
		lookup.Handle(lookAround),
		ask.Handle(askOther),
		whoami.Handle(func(ctx context.Context, _ struct{}) (actor.ID, error) { return sdk.Self(ctx), nil }),
		forever.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			<-ctx.Done()
			return n, ctx.Err()
		}),
		stuck.Handle(func(_ context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			select {}
		}),
		stuckForEver.Handle(func(context.Context, none) (none, error) { select {} }),
		say.Handle(func(_ context.Context, s string) (struct{}, error) {
			slog.Warn("structured "+s, "answer", 42)
			fmt.Println("printed " + s)
			return struct{}{}, nil
		}),
		numbers.Handle(func(_ context.Context, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := range n {
					if !yield(i, nil) {
						return
					}
				}
			}
		}),
		double.Handle(serveDouble),
		parent.Handle(func(ctx context.Context, s string) (string, error) {
			return upper.Call(ctx, sdk.Parent(ctx), s)
		}),
		below.Handle(func(ctx context.Context, s string) (string, error) {
			p, err := host.FromContext(ctx).Portal("leaf")
			if err != nil {
				return "", err
			}
			switch s {
			case "fail":
				return fail.Call(ctx, p, "deep")
			case "crash":
				return crash.Call(context.WithoutCancel(ctx), p, 5)
			case "stop":
				return strconv.Itoa(p.ID().PID), freezeLeaf(p.ID().PID)
			}
			return echo.Call(ctx, p, s)
		}),
	}
}

// checked are the endpoints of one process that can say that it is unwell.
func checked() []contract.Handler {
	var unwell atomic.Bool
	return []contract.Handler{
		wellness.Handle(func(context.Context, none) (n none, err error) {
			if unwell.Load() {
				err = errors.New("I feel unwell")
			}
			return n, err
		}),
		sicken.Handle(func(context.Context, none) (n none, err error) {
			unwell.Store(true)
			return n, nil
		}),
	}
}

// freezeLeaf is set where processes can be stopped.
var freezeLeaf func(pid int) error

func serveDouble(ctx context.Context, greeting string, c *contract.Callee[string, int, int]) (int, error) {
	if err := c.Started("started " + greeting); err != nil {
		return 0, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	sum := 0
	for n, err := range s.All(ctx) {
		if err != nil {
			return 0, err
		}
		sum += n
		if err := s.Send(ctx, 2*n); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// playBad is the gallery of programs that are not good plugins.
func playBad(role string) {
	switch role {
	case "exits":
		fmt.Fprintln(os.Stderr, "I leave at once")
		os.Exit(7)
	case "garbage":
		fmt.Println("Welcome to my program!")
		select {}
	case "silent":
		select {}
	case "panics":
		panic("in main")
	case "old":
		fmt.Println("1|9|unix|/nowhere|grpc")
		select {}
	case "netrpc":
		fmt.Println("1|1|unix|/nowhere|netrpc")
		select {}
	case "liar": // a good handshake line, nobody behind it
		fmt.Println("1|1|unix|/nowhere|grpc|")
		select {}
	default:
		fmt.Fprintln(os.Stderr, "unknown role", role)
		os.Exit(2)
	}
}

// spec is an actor of the given role: this test binary. Its bounds are such that no machine
// is too slow for them; a test that is about a bound sets that.
func spec(t testing.TB, name, role string) host.Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	long := config.Duration(patience)
	return host.Spec{
		Name: name, Command: []string{self}, Env: map[string]string{
			roleVar: role, ofVar: testOf(t), "GORACE": "atexit_sleep_ms=0", // a race-built program else takes a second to exit
		},
		StartTimeout: long, CancelTimeout: long, Health: config.Health{Timeout: long},
	}
}

// unforced is a spec with so much time for its end that no machine is too slow: who is forced
// nevertheless did not end by itself.
func unforced(s host.Spec) host.Spec {
	s.CancelTimeout, s.Grace, s.TermTimeout = config.Duration(patience), config.Duration(patience), config.Duration(patience)
	return s
}

// longEnough tries what must come to a certain point before a bound is over, and says
// whether it did. Where a machine is too slow for that, it tries again with twice the time.
func longEnough(bound time.Duration, try func(bound config.Duration) bool) bool {
	for ; bound < patience; bound *= 2 {
		if try(config.Duration(bound)) {
			return true
		}
	}
	return false
}

// open runs a nursery whose log can be read.
func open(t testing.TB, o host.Options, body func(ctx context.Context, n *host.Nursery) error) (log *syncBuffer, err error) {
	t.Helper()
	log = &syncBuffer{}
	o.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err = host.OpenNursery(t.Context(), o, body)
	if left := childrenLeft(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	return log, err
}

// patience is how long a test waits for what must come, before it says that it did not. It
// only makes a failure of a hang: no machine is so slow that it matters otherwise.
const patience = 5 * time.Minute

// here is open without a process: what the specs of plug name runs inside this one. Tests call it in
// a bubble, in which no machine is too slow.
func here(t testing.TB, o host.Options, body func(ctx context.Context, n *host.Nursery) error) (log *syncBuffer, err error) {
	t.Helper()
	log = &syncBuffer{}
	o.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	programs := trellistest.NewPrograms(t,
		trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()},
		trellistest.Plugin{Name: "checked", Endpoints: goodEndpoints(), Fresh: checked},
		trellistest.Plugin{Name: "hosting", Endpoints: goodEndpoints(), Hosts: host.Subtree})
	return log, host.OpenNursery(context.WithValue(programs.Context(), programsKey{}, programs), o, body)
}

type programsKey struct{}

// processOf is the process that stands for the present one of an actor, in a nursery of here.
func processOf(ctx context.Context, p *host.Portal) *trellistest.Process {
	return ctx.Value(programsKey{}).(*trellistest.Programs).Process(p.Name())
}

// plug is an actor whose program runs inside this process.
func plug(name, program string) host.Spec {
	return host.Spec{Name: name, Command: []string{program}}
}

// syncBuffer is a log in memory. mu guards the rest.
type syncBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // made by a waiter, closed at the next Write
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written != nil {
		close(s.written)
		s.written = nil
	}
	return s.b.Write(p)
}

// await returns when all texts are there. The lines of a child are logged on a goroutine of
// their own, which nobody but a nursery's end waits for, and even that only for a while.
func (s *syncBuffer) await(t testing.TB, texts ...string) {
	t.Helper()
	late := time.After(patience)
	for {
		missing, written := s.missing(texts)
		if len(missing) == 0 {
			return
		}
		select {
		case <-written:
		case <-late:
			t.Fatalf("no %q in\n%s", missing, s)
		}
	}
}

// missing are the texts that are not there, and what is closed when there is more to look at.
func (s *syncBuffer) missing(texts []string) (missing []string, written <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written == nil {
		s.written = make(chan struct{})
	}
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.Contains(s.b.String(), text) }), s.written
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var _ io.Writer = (*syncBuffer)(nil)

var errBody = errors.New("the body failed")
