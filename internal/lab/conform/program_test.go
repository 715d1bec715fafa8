package conform

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/plugins/conform/steps"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// roleVar makes the test binary a plugin that breaks the protocol in one way.
const roleVar = "CONFORM_ROLE"

func TestMain(m *testing.M) {
	if spoil := wrongs[os.Getenv(roleVar)]; spoil != nil {
		serveWrongly(spoil)
	}
	os.Exit(m.Run())
}

// wrongs are what a plugin may do wrong with a frame that it should send: it sends others,
// or none, in its place.
var wrongs = map[string]func(f *wire.Frame) []*wire.Frame{
	"no ack":     withoutAck,
	"late yield": withLateYield,
	"more room":  withMoreRoom,
}

// withoutAck answers a cancel with the ending alone.
func withoutAck(f *wire.Frame) []*wire.Frame {
	if f.Kind == wire.Kind_KIND_CANCEL_ACK && f.Dialog%2 == 0 {
		return nil
	}
	return []*wire.Frame{f}
}

// withLateYield sends a message after a failure.
func withLateYield(f *wire.Frame) []*wire.Frame {
	if f.Kind == wire.Kind_KIND_ERROR {
		return []*wire.Frame{f, {Dialog: f.Dialog, Kind: wire.Kind_KIND_YIELD, Payload: []byte{0x61, 'x'}}}
	}
	return []*wire.Frame{f}
}

// withMoreRoom gives credit for more than its task has taken.
func withMoreRoom(f *wire.Frame) []*wire.Frame {
	if f.Kind == wire.Kind_KIND_CREDIT {
		f.Credit.Messages++
	}
	return []*wire.Frame{f}
}

// Each wrong is found by the transcripts that have a line about it, and by no other.
func TestWrongProgramsAreFoundOut(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ role, line string }{
		{"no ack", "<- CANCEL_ACK 2"}, {"late yield", "<- ERROR 2"}, {"more room", "<- CREDIT"},
	} {
		t.Run(c.role, func(t *testing.T) {
			p := Program{Command: []string{self}, Env: []string{roleVar + "=" + c.role, "GORACE=atexit_sleep_ms=0"}}
			for r := range p.PlayAll(t.Context(), quick(t)) {
				if _, unplayed := errors.AsType[*Unplayed](r.Err); unplayed != (r.Limits != "") {
					t.Errorf("%s: %v; unplayed are those whose limits the program does not tell", r.Name, r.Err)
				}
				want := r.Limits != "" || slices.ContainsFunc(r.lines, func(l line) bool { return strings.HasPrefix(l.does+" "+l.text, c.line) })
				if (r.Err != nil) != want {
					t.Errorf("%s: %v; want a failure: %v", r.Name, r.Err, want)
				}
			}
		})
	}
}

// quick are some transcripts about all of the wrongs, without those that wait.
func quick(t *testing.T) (some []*Script) {
	more := []string{"streams/overflow-keep", "streams/probed", "streams/message-too-large", "streams/stop-before-an-error"}
	for _, s := range allScripts(t) {
		slow := slices.ContainsFunc(s.lines, func(l line) bool { return l.does == "--" || strings.Contains(l.text, "sleep") })
		if slices.Contains([]string{"cancels", "errors"}, s.Chapter()) && !slow || slices.Contains(more, s.Name) {
			some = append(some, s)
		}
	}
	return some
}

// What a failure tells is enough to look it up: where, what was expected, and what came.
func TestAFailureSaysWhatWasExpectedAndWhatCame(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(allScripts(t), func(s *Script) bool { return s.Name == "cancels/ack" })
	s := allScripts(t)[i]
	err = Program{Command: []string{self}, Env: []string{roleVar + "=no ack"}}.Play(t.Context(), s)
	d := difference(t, err)
	if d.Line != 7 || d.Expect != "<- CANCEL_ACK 2" || d.Reason != "ERROR has come" {
		t.Errorf("%+v", d)
	}
	if len(d.Came) == 0 || !strings.HasPrefix(d.Came[0], `ERROR 2 fault={"nodes":[{`) {
		t.Errorf("what has come: %q", d.Came)
	}
	if rules := s.Rules(); !slices.Equal(rules, []string{"C10"}) {
		t.Errorf("rules: %q", rules)
	}
}

// serveWrongly is a plugin whose frames are spoilt on their way out. All but that is the
// real thing.
func serveWrongly(spoil func(f *wire.Frame) []*wire.Frame) {
	if err := process.HoldLifeline(); err != nil {
		slog.Error("the lifeline", "error", err)
	}
	identity, err := trust.Inherited()
	if err != nil || identity == nil {
		slog.Error("the identity", "error", err)
		os.Exit(1)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: &wrongPlugin{identity: identity, spoil: spoil}}},
		TLSProvider:      func() (*tls.Config, error) { return identity, nil },
		GRPCServer:       plugin.DefaultGRPCServer,
		Logger:           hclog.NewNullLogger(),
	})
	os.Exit(1)
}

type wrongPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	wire.UnimplementedActorServer
	identity *tls.Config
	spoil    func(f *wire.Frame) []*wire.Frame
}

func (w *wrongPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	wire.RegisterActorServer(server, w)
	return nil
}

func (w *wrongPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil //nolint:nilnil // nobody asks for it
}

func (w *wrongPlugin) Boot(ctx context.Context, r *wire.BootRequest) (*wire.BootResponse, error) {
	l := life.New(life.Config{
		Endpoints: steps.Endpoints(func(ctx context.Context) contract.Portal { return life.Parent(ctx) }),
		PID:       os.Getpid(),
		Exit: func(failure error) {
			if failure != nil {
				os.Exit(1)
			}
			os.Exit(0)
		},
	})
	return l.Boot(ctx, r, func(ctx context.Context) (link.Transport, error) {
		t, err := link.DialDirect(ctx, r.Network, r.Address, w.identity, int(r.Parent.GetPid()))
		return &spoilt{Transport: t, spoil: w.spoil}, err
	})
}

// spoilt is a link on which frames are spoilt before they are sent.
type spoilt struct {
	link.Transport
	spoil func(f *wire.Frame) []*wire.Frame
}

func (s *spoilt) Send(b wire.Batch) error {
	packet, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	var out []byte
	for _, f := range packet.Frames {
		for _, f := range s.spoil(f) {
			if out, err = wire.AppendFrame(out, f); err != nil {
				return err
			}
		}
	}
	return s.Transport.Send(wire.Batch{out})
}

func difference(t *testing.T, err error) *Difference {
	t.Helper()
	d, ok := errors.AsType[*Difference](err)
	if !ok {
		t.Fatalf("%v, expected a Difference", err)
	}
	return d
}
