package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	kv "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func foreignSpec(program, name, role string) host.Spec {
	return host.Spec{
		Name: name, Command: []string{program},
		Env:      map[string]string{roleVar: role, "GORACE": "atexit_sleep_ms=0"},
		GoPlugin: &config.GoPlugin{Cookie: map[string]string{foreignKey: foreignValue}, Versions: []int{1, 3, 5}},
	}
}

func foreign(t testing.TB, role string) host.Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := foreignSpec(self, "shop", role)
	s.Env[ofVar] = testOf(t)
	return s
}

// get calls the program's own service.
func get(ctx context.Context, conn grpc.ClientConnInterface, key string) (string, error) {
	r, err := kv.NewKVClient(conn).Get(ctx, &kv.GetRequest{Key: key})
	return string(r.GetValue()), err
}

func TestN15_ForeignProgramIsAChild(t *testing.T) {
	parallel(t)
	for _, mtls := range []config.MTLS{"", config.MTLSAuto, config.MTLSOff} {
		t.Run("mtls "+string(mtls), func(t *testing.T) {
			log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				s := unforced(foreign(t, "foreign"))
				s.GoPlugin.MTLS = mtls
				f, err := n.Start(ctx, s)
				if err != nil {
					return err
				}
				if v, err := f.Version(ctx); v != 5 || err != nil {
					t.Errorf("version %d, %v; want 5, the highest of both", v, err)
				}
				checkConns(ctx, t, f)
				if cert, err := get(ctx, f.Services(), "env"); err != nil || (cert == "") != (mtls == config.MTLSOff) {
					t.Errorf("its certificate: %q, %v", cert, err)
				}
				_, err = get(ctx, f.Services(), "no such key")
				if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), errUnknownKey.Error()) {
					t.Errorf("its error came as %v", err)
				}
				return f.Cancel(ctx, "done")
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := log.String(); strings.Contains(text, "teardown goes on") {
				t.Errorf("force was used:\n%s", text)
			}
		})
	}
}

// checkConns calls a program in every way that there is.
func checkConns(ctx context.Context, t *testing.T, f *host.Portal) {
	t.Helper()
	conn, err := f.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := get(ctx, conn, "pid"); err != nil || pid != strconv.Itoa(f.ID().PID) {
		t.Errorf("over Conn: pid %q, %v; want %d", pid, err, f.ID().PID)
	}
	client, err := f.Dispense(ctx, kvPlugin{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := client.(kv.KVClient).Get(ctx, &kv.GetRequest{Key: "pid"}); err != nil || string(r.GetValue()) != strconv.Itoa(f.ID().PID) {
		t.Errorf("over a dispensed client: %v, %v", r, err)
	}
	if broker, err := f.Broker(ctx); broker == nil || err != nil {
		t.Errorf("Broker = %v, %v", broker, err)
	}
}

// noticing is a log that says which messages have come.
type noticing struct {
	syncBuffer
	seen chan string
}

func newNoticing() *noticing { return &noticing{seen: make(chan string, 1000)} }

func (n *noticing) Write(p []byte) (int, error) {
	written, err := n.syncBuffer.Write(p) // whoever is told finds it
	var record struct{ Msg string }
	if json.Unmarshal(p, &record) == nil {
		n.seen <- record.Msg
	}
	return written, err
}

// await returns when all messages have come.
func (n *noticing) await(ctx context.Context, messages ...string) error {
	for len(messages) > 0 {
		select {
		case msg := <-n.seen:
			messages = slices.DeleteFunc(messages, func(m string) bool { return m == msg })
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q: %w", messages, context.Cause(ctx))
		}
	}
	return nil
}

func (n *noticing) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(n, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestF04_ForeignProgramsLogs(t *testing.T) {
	log := newNoticing()
	err := host.OpenNursery(t.Context(), host.Options{Log: log.logger()}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		if _, err := kv.NewKVClient(f.Services()).Put(ctx, &kv.PutRequest{Key: "milk", Value: []byte("four")}); err != nil {
			return err
		}
		if err := log.await(ctx, "put milk", "printed milk", "complained milk"); err != nil {
			return err
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
	for msg, want := range map[string]string{
		"put milk":        `"level":"WARN","msg":"put milk","actor":"shop@%s","@module":"shop","bytes":4`,
		"printed milk":    `"level":"INFO","msg":"printed milk","actor":"shop@%s","stream":"stdout"`,
		"complained milk": `"level":"INFO","msg":"complained milk","actor":"shop@%s","stream":"stderr"`,
	} {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "%s", "[0-9a-f]+")
		if !regexp.MustCompile(pattern).MatchString(log.String()) {
			t.Errorf("no record of %q is like %s in\n%s", msg, pattern, log.String())
		}
	}
}

func TestP07_CallCutOffByTheDeathOfAForeignProgram(t *testing.T) {
	_, err := open(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		_, err = get(ctx, f.Services(), "exit")
		died, ok := errors.AsType[*fault.ActorDied](err)
		if !ok || died.ExitCode != 9 || status.Code(err) != codes.Unavailable {
			t.Errorf("the call failed with %v (%v), want one that says it died of exit code 9", err, status.Code(err))
		}
		<-f.Done()
		if _, err := get(ctx, f.Services(), "pid"); !errors.Is(err, died) || status.Code(err) != codes.Unavailable {
			t.Errorf("a call after its end failed with %v", err)
		}
		return nil
	})
	if _, ok := errors.AsType[*fault.ActorDied](err); !ok {
		t.Fatalf("the nursery ended with %v", err)
	}
}

func TestP07_UnavailableOfTheProgramsOwnStays(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		if _, err := get(ctx, f.Services(), "unavailable"); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "the shop is closed" {
			t.Errorf("got %v", err)
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestP03_ForeignProgramServesNoEndpoints(t *testing.T) {
	parallel(t)
	shop := foreign(t, "foreign")
	good := spec(t, "good", "good")
	good.DependsOn = map[string]config.Condition{"shop": config.Healthy}
	err := host.OpenTree(t.Context(), host.Options{}, []host.Spec{shop, good}, func(ctx context.Context, tree *host.Tree) error {
		p, err := tree.Portal("shop")
		if err != nil {
			return err
		}
		if _, err := echo.Call(ctx, p, "hello"); !errors.Is(err, host.ErrForeign) || !strings.Contains(err.Error(), "Portal.Services") {
			t.Errorf("a contract call gave %v", err)
		}
		if pid, err := get(ctx, p.Services(), "pid"); err != nil || pid != strconv.Itoa(p.ID().PID) {
			t.Errorf("pid %q, %v", pid, err)
		}
		if list := p.Endpoints(); len(list) > 0 {
			t.Errorf("it serves %q", list)
		}
		if _, err := tree.Portal("nobody"); err == nil || !strings.Contains(err.Error(), "good, shop") {
			t.Errorf("Portal of nobody gave %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reaped is the first event that says that an actor's process is gone.
func reaped(ctx context.Context) directory.Event {
	for e := range host.Events(ctx) {
		if e.To == directory.Reaped {
			return e
		}
	}
	return directory.Event{}
}

func TestF03_ForeignProgramThatDoesNotStart(t *testing.T) {
	parallel(t)
	for name, c := range map[string]struct {
		role  string
		spoil func(s *host.Spec)
		says  string
	}{
		"other cookie":          {"foreign", func(s *host.Spec) { s.GoPlugin.Cookie = map[string]string{foreignKey: "wrong"} }, "is its cookie (goplugin.cookie) the right one?"},
		"says why and exits":    {"foreign leaving", func(*host.Spec) {}, "exit code 0: last line on stderr: no database"},                                                // G4
		"no common version":     {"foreign", func(s *host.Spec) { s.GoPlugin.Versions = []int{1, 2} }, "none of goplugin.versions, [1 2]"},                                // G10
		"drops its TLS options": {"foreign plain", func(*host.Spec) {}, "set goplugin.mtls to off"},                                                                       // G3
		"no multiplexing":       {"foreign bare", func(s *host.Spec) { s.GoPlugin.MTLS, s.GoPlugin.Multiplex = config.MTLSOff, true }, "set goplugin.multiplex to false"}, // G9
		"net/rpc":               {"netrpc", func(*host.Spec) {}, `unsupported plugin protocol "netrpc"`},
		"no AutoMTLS":           {"foreign bare", func(*host.Spec) {}, "set goplugin.mtls to off"},
		"no server":             {"liar", func(s *host.Spec) { s.GoPlugin.MTLS = config.MTLSOff }, "at its connection"},
		"as an actor":           {"foreign", func(s *host.Spec) { s.GoPlugin = nil }, "built with sdk.Serve?"},
		"actor as foreign":      {"good", func(*host.Spec) {}, "is its cookie (goplugin.cookie) the right one?"},
		"two cookies":           {"foreign", func(s *host.Spec) { s.GoPlugin.Cookie["B"] = "b" }, "goplugin.cookie: expected exactly one"},
		"children":              {"foreign", func(s *host.Spec) { s.Actors = []host.Spec{{Name: "x"}} }, "cannot start actors"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				s := foreign(t, c.role)
				c.spoil(&s)
				_, err := n.Start(ctx, s)
				start, ok := errors.AsType[*host.StartError](err)
				if !ok || !strings.Contains(start.Error(), c.says) {
					t.Errorf("Start = %v\nexpected to read %q", err, c.says)
				}
				if ok && start.Stage == "handshake" {
					if e := reaped(ctx); e.Actor.PID == 0 {
						t.Errorf("there was a process, and the event does not name it: %v", e)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
