package wire_test

import (
	"context"
	"encoding/hex"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// The examples of docs/protocol, as this program makes them.
func examples(t *testing.T) map[string]*wire.Packet {
	t.Helper()
	args := wire.NewBuffer(0)
	if err := codecs.CBOR.Marshal(args, struct {
		Root string `json:"root"`
	}{"/src"}, nil); err != nil {
		t.Fatal(err)
	}
	host := actor.ID{Name: "host", UUID: "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b", PID: 4711}
	told := &wire.Fault{Nodes: []*wire.Node{
		{Id: "f-1", Message: "cancelled", Name: "trellis.ContextCancelled"}, {Message: "cancelled", Name: "context.Canceled"},
	}}
	return map[string]*wire.Packet{
		"hello": {Frames: []*wire.Frame{{Kind: wire.Kind_KIND_HELLO, Hello: &wire.Hello{
			Version: wire.Version, Self: wire.FromID(host), MaxMessage: 64 << 20,
		}}}},
		"start": {Frames: []*wire.Frame{{Dialog: 2, Kind: wire.Kind_KIND_START, Payload: args.Bytes(), Start: &wire.Start{
			Endpoint: "lines", Kind: wire.EndpointKind_ENDPOINT_KIND_SOURCE, Fingerprint: exampleFingerprint,
			Codec: "cbor", Timeout: 5_000_000_000, Window: &wire.Window{Messages: 64, Bytes: 4 << 20},
		}}}},
		"ending": {Frames: []*wire.Frame{
			{Dialog: 2, Kind: wire.Kind_KIND_CANCEL_ACK},
			{Dialog: 2, Kind: wire.Kind_KIND_ERROR, Yields: 1, Fault: told},
			{Dialog: 2, Kind: wire.Kind_KIND_YIELD, Payload: []byte{0x61, 'a'}},
			{Dialog: 2, Kind: wire.Kind_KIND_STOP},
		}},
	}
}

const exampleFingerprint = 0x83f62a367889aed7

type query struct {
	Root  string   `json:"root"`
	Skip  []string `json:"skip,omitempty"`
	Sizes map[string]int64
}

type line struct {
	Text []byte `json:"text"`
	Next *line  `json:"next"`
}

func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProtocolExamples compares the bytes in docs/protocol with what the encoder
// makes, and what they decode to.
func TestProtocolExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```hex (\\w+)\n(.*?)```").FindAllStringSubmatch(protocol(t), -1)
	want := examples(t)
	if len(blocks) != len(want) {
		t.Errorf("%d examples in the text, %d here", len(blocks), len(want))
	}
	for _, b := range blocks {
		var digits strings.Builder
		for l := range strings.Lines(b[2]) {
			l, _, _ = strings.Cut(l, "#")
			digits.WriteString(strings.Join(strings.Fields(l), ""))
		}
		bytes, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
		}
		made, err := proto.MarshalOptions{Deterministic: true}.Marshal(want[b[1]])
		if err != nil || string(made) != string(bytes) {
			t.Errorf("%s: the encoder makes\n%s", b[1], hex.Dump(made))
		}
		var p wire.Packet
		if err := proto.Unmarshal(bytes, &p); err != nil || !proto.Equal(&p, want[b[1]]) {
			t.Errorf("%s: reads as %s, %v", b[1], prototext.Format(&p), err)
		}
	}
}

// TestP08_ProtocolFingerprint checks the example of a fingerprint, by what an
// actor that serves the endpoint accepts.
func TestP08_ProtocolFingerprint(t *testing.T) {
	lines := contract.Source[query, line]("lines")
	served, err := endpoint.Expose(actor.NewID("x"), lines.Handle(func(context.Context, query) iter.Seq2[line, error] { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	start := &wire.Start{Endpoint: "lines", Kind: wire.EndpointKind_ENDPOINT_KIND_SOURCE, Codec: "cbor", Fingerprint: exampleFingerprint}
	if _, err := served.Accept(start); err != nil {
		t.Errorf("the fingerprint of the example is refused: %v", err)
	}
	start.Fingerprint ^= 1 << 32
	if _, err := served.Accept(start); err == nil {
		t.Error("another fingerprint is accepted")
	}
	var shape []string
	for l := range strings.Lines(served.Endpoints()[0].Shape) {
		if !strings.HasPrefix(l, "#") {
			shape = append(shape, strings.TrimSpace(l))
		}
	}
	if text := strings.Join(shape, "\n"); !strings.Contains(protocol(t), "\nsource\n"+text+"\n") {
		t.Errorf("the text does not have the shape\n%s", text)
	}
}

// TestProtocolNames: every registered name, kind and constant that a stranger
// needs is in the text.
func TestProtocolNames(t *testing.T) {
	text := protocol(t)
	for _, name := range []string{wire.CookieKey, wire.CookieValue, wire.PluginName, wire.CancelActor} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not described", name)
		}
	}
	for _, names := range []map[int32]string{wire.Kind_name, wire.Overflow_name, wire.EndpointKind_name} {
		for _, name := range names {
			for _, prefix := range []string{"ENDPOINT_KIND_", "KIND_", "OVERFLOW_"} {
				name = strings.TrimPrefix(name, prefix)
			}
			if !strings.Contains(text, name) {
				t.Errorf("%s is not described", name)
			}
		}
	}
	for _, m := range []proto.Message{&wire.Frame{}, &wire.Start{}, &wire.Hello{}, &wire.Fault{}, &wire.Node{}, &wire.BootRequest{}, &wire.BootResponse{}} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if name := string(fields.Get(i).Name()); !strings.Contains(text, "`"+name+"`") {
				t.Errorf("field %s of %s is not described", name, m.ProtoReflect().Descriptor().Name())
			}
		}
	}
	for name := range knownNames(t) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the error %s is not described", name)
		}
	}
}

// knownNames are the names under which this program registers errors, as they
// stand in its source.
func knownNames(t *testing.T) map[string]bool {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "shared", "fault", "registry.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`"((?:trellis|context|io|fs|os|errors)\.\w+)"`).FindAllStringSubmatch(string(source), -1) {
		names[m[1]] = true
	}
	if len(names) < 25 {
		t.Fatalf("only %d names found", len(names))
	}
	return names
}
