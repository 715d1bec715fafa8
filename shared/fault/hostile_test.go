package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Errors whose methods misbehave.
type (
	textPanics   struct{}
	causePanics  struct{}
	statusPanics struct{}
	own          struct{ self error }  // wraps itself
	twice        struct{ self error }  // wraps itself, two times
	nils         struct{}              // wraps nothing, twice
	anything     struct{ Value any }   // comparable by its type only
	unencodable  struct{ C chan int }  // no CBOR for that
	panicsInCBOR struct{}              //
	cycle        struct{ Next *cycle } // its fields never end
	large        struct{ Text string } //
	opaque       struct{ Err error }   // encodes, and cannot be read
	pickyReader  struct{ N int }       // panics when it is read
)

func (textPanics) Error() string                     { panic("no text") }
func (causePanics) Error() string                    { return "cause panics" }
func (causePanics) Unwrap() error                    { panic("no cause") }
func (statusPanics) Error() string                   { return "status panics" }
func (statusPanics) GRPCStatus() *status.Status      { panic("no status") }
func (o *own) Error() string                         { return "snake" }
func (o *own) Unwrap() error                         { return o.self }
func (o *twice) Error() string                       { return "hydra" }
func (o *twice) Unwrap() []error                     { return []error{o.self, o.self} }
func (nils) Error() string                           { return "wraps nils" }
func (nils) Unwrap() []error                         { return []error{nil, nil} }
func (anything) Error() string                       { return "anything" }
func (*unencodable) Error() string                   { return "unencodable" }
func (*panicsInCBOR) Error() string                  { return "panics in CBOR" }
func (*panicsInCBOR) MarshalCBOR() ([]byte, error)   { panic("no \xff CBOR") }
func (*cycle) Error() string                         { return "cycle" }
func (*large) Error() string                         { return "large" }
func (*opaque) Error() string                        { return "opaque" }
func (*pickyReader) Error() string                   { return "picky" }
func (*pickyReader) UnmarshalCBOR(data []byte) error { panic(fmt.Sprintf("no thanks: %x", data)) }

func init() {
	fault.Type[unencodable]("test.Unencodable")
	fault.Type[panicsInCBOR]("test.PanicsInCBOR")
	fault.Type[cycle]("test.Cycle")
	fault.Type[large]("test.Large")
	fault.Type[opaque]("test.Opaque")
	fault.Type[pickyReader]("test.Picky")
}

// chain is an error of n levels.
func chain(n int, inner error) error {
	for range n {
		inner = &link{inner}
	}
	return inner
}

type link struct{ next error }

func (*link) Error() string   { return "link" }
func (l *link) Unwrap() error { return l.next }

func TestE05_WhateverItIsItsTextArrives(t *testing.T) {
	snake := &own{}
	snake.self = snake
	hydra := &twice{}
	hydra.self = hydra
	ring := &cycle{}
	ring.Next = ring
	var none *quota
	for name, c := range map[string]struct {
		err        error
		text, note string // that must be in the story
	}{
		"Error panics":         {textPanics{}, "fault_test.textPanics whose Error method panicked: no text", ""},
		"Unwrap panics":        {causePanics{}, "cause panics", ""},
		"GRPCStatus panics":    {statusPanics{}, "status panics", ""},
		"wraps itself":         {snake, "snake", "left out"},
		"wraps itself twice":   {hydra, "hydra", "left out"},
		"wraps nils":           {nils{}, "wraps nils", ""},
		"10,000 levels":        {chain(10_000, io.EOF), "link", "left out"},
		"10,000 causes":        {errors.Join(slices.Repeat([]error{io.EOF}, 10_000)...), "EOF", "left out"},
		"10 MB":                {errors.New("long: " + strings.Repeat("é", 5<<20)), "long: é", ""},
		"no UTF-8":             {errors.New("bad \xff\xfe text"), "bad \uFFFD text", ""},
		"uncomparable":         {uncomparable{"a"}, "list [a]", ""},
		"uncomparable inside":  {anything{[]int{1}}, "anything", ""},
		"nil pointer":          {none, "*fault_test.quota whose Error method panicked", ""},
		"nil RemoteError":      {(*fault.RemoteError)(nil), "*fault.RemoteError: <nil>", ""},
		"nil ContextCancelled": {(*fault.ContextCancelled)(nil), "panicked", ""},
		"nil Group":            {(*fault.Group)(nil), "panicked", ""},
		"group of nothing":     {&fault.Group{}, "0 failures", ""},
		"no encoding":          {&unencodable{make(chan int)}, "unencodable", "the fields of test.Unencodable could not be encoded"},
		"encoding panics":      {&panicsInCBOR{}, "panics in CBOR", "could not be encoded: panic: no \uFFFD CBOR"},
		"endless fields":       {ring, "cycle", "the value contains itself"},
		"large fields":         {&large{strings.Repeat("x", 1<<20)}, "large", "the fields of test.Large, 10485"},
		"unreadable fields":    {&opaque{errors.New("x")}, "opaque", "the fields of test.Opaque could not be read"},
		"reading panics":       {&pickyReader{}, "picky", "the fields of test.Picky could not be read: panic: no thanks"},
		"stack no UTF-8":       {&fault.PanicError{Value: "x", Stack: "\xff\n"}, "panic: x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for way, path := range hops {
				far := cross(t, c.err, path...)
				story := fmt.Sprintf("%+v", far)
				for _, part := range []string{c.text, c.note} {
					if !strings.Contains(story, part) {
						t.Errorf("%s: the story does not say %q:\n%.2000s", way, part, story)
					}
				}
				if strings.HasPrefix(c.note, "the fields") && strings.Count(story, c.note) > 1 {
					t.Errorf("%s: each hop notes it again:\n%.2000s", way, story)
				}
				if r := remote(t, far); r.Origin != leaf && name != "nil RemoteError" {
					t.Errorf("%s: origin %v", way, r.Origin)
				}
				checkBounds(t, far)
			}
			// Judging it ends, too.
			_ = fault.IsCancel(c.err)
			_ = fault.Settle(c.err, context.Canceled)
			_, _ = fault.Cancelled(c.err)
		})
	}
}

// checkBounds fails for an error that a peer made and that is too large to print.
func checkBounds(t testing.TB, err error) {
	t.Helper()
	if n := len(err.Error()); n > 64<<10 {
		t.Errorf("Error() has %d bytes", n)
	}
	if n := len(fmt.Sprintf("%+v", err)); n > 5<<20 {
		t.Errorf("the story has %d bytes", n)
	}
	if b := proto.Size(fault.Pack(err, root)); b > 3<<20 {
		t.Errorf("packed again it has %d bytes: more than one gRPC message takes", b)
	}
}

func TestE05_UnknownNamesAtTheReceiver(t *testing.T) {
	for name, n := range map[string]*wire.Node{
		"sentinel":               {Type: "rust", Message: "m", Name: "rust.Broken"},
		"type":                   {Type: "rust", Message: "m", Name: "rust.Broken", Detail: []byte{0xa0}},
		"sentinel with fields":   {Type: "rust", Message: "m", Name: "io.EOF", Detail: []byte{0xa0}},
		"type without its field": {Type: "rust", Message: "m", Name: "trellis.ActorDied"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fault.Unpack(alone(n))
			if e := remote(t, err); e.Error() != "nobody: m" || e.Type != "rust" || e.Unwrap() != nil {
				t.Errorf("%+v", e)
			}
			// Who does not know the name passes it on.
			if b := fault.Pack(err, mid).Root(); b.Name != n.Name || !bytes.Equal(b.Detail, n.Detail) {
				t.Errorf("relayed as %q % x", b.Name, b.Detail)
			}
		})
	}
}

func TestE05_MalformedDetail(t *testing.T) {
	for name, detail := range map[string][]byte{
		"cut short":  {0xa1, 0x62},
		"wrong type": {0x63, 'a', 'b', 'c'},
		"trailing":   {0xa0, 0xa0},
		"deep":       append(bytes.Repeat([]byte{0x81}, 100), 0x80),
		"huge count": {0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			err := fault.Unpack(alone(&wire.Node{Type: "t", Message: "m", Name: "trellis.ActorDied", Detail: detail, Note: "n"}))
			if _, ok := errors.AsType[*fault.ActorDied](err); ok {
				t.Error("revived")
			}
			if story := fmt.Sprintf("%+v", err); !strings.Contains(story, "note: n; the fields of trellis.ActorDied could not be read: ") {
				t.Error(story)
			}
		})
	}
}

func TestE05_ALargePeerIsCut(t *testing.T) {
	wide := alone(&wire.Node{Message: "wide"})
	for range 100_000 {
		wide.Nodes = append(wide.Nodes, &wire.Node{Message: "x"})
	}
	deep, below := alone(&wire.Node{Message: "deep"}), uint32(0)
	for range 5_000 {
		deep.Nodes = append(deep.Nodes, &wire.Node{Message: "deep", Parent: below}, &wire.Node{Message: "x", Parent: below, Also: true})
		below = uint32(len(deep.Nodes) - 2)
	}
	relayed := &wire.Node{Message: "relayed"}
	for range 100_000 {
		relayed.Relays = append(relayed.Relays, wire.FromID(mid))
	}
	lines := alone(&wire.Node{Message: strings.Repeat("\n", 4<<20), Stack: strings.Repeat("\n", 4<<20), Note: strings.Repeat("\n", 4<<20)})
	for range 500 {
		lines.Nodes = append(lines.Nodes, &wire.Node{Message: strings.Repeat("\n", 8<<10)})
	}
	names := &wire.Node{Origin: &wire.Identity{Name: strings.Repeat("n\n", 1<<20), Uuid: strings.Repeat("é", 1<<20)}, Id: strings.Repeat("i", 1<<20)}
	for name, f := range map[string]*wire.Fault{"wide": wide, "deep": deep, "relayed": alone(relayed), "lines": lines, "names": alone(names)} {
		t.Run(name, func(t *testing.T) {
			err := fault.Unpack(f)
			checkBounds(t, err)
			if name == "wide" || name == "deep" || name == "relayed" {
				if story := fmt.Sprintf("%+v", err); !strings.Contains(story, "note: ") {
					t.Errorf("nothing says that something is missing:\n%.500s", story)
				}
			}
		})
	}
}

// TestE05_ManySmallRelaysAreCut: a relay that says nothing is two bytes on the wire, and many
// times that in memory.
func TestE05_ManySmallRelaysAreCut(t *testing.T) {
	n := &wire.Node{Message: "relayed"}
	for range 60_000 {
		n.Relays = append(n.Relays, &wire.Identity{})
	}
	remote := fault.Unpack(alone(n)).(*fault.RemoteError)
	if len(remote.Relays) != 64 || cap(n.Relays) > 128 {
		t.Errorf("%d relays are kept, in room for %d", len(remote.Relays), cap(n.Relays))
	}
	if story := fmt.Sprintf("%+v", remote); !strings.Contains(story, "it was relayed 60000 times") {
		t.Errorf("nothing says that some are missing:\n%.500s", story)
	}
}

// TestE05_RelayingChangesNothing: what one Pack has cut, later hops leave alone.
func TestE05_RelayingChangesNothing(t *testing.T) {
	hydra := &twice{}
	hydra.self = hydra
	for _, err := range []error{
		chain(100, io.EOF), hydra, errors.Join(slices.Repeat([]error{errors.New(strings.Repeat("x", 1000))}, 5000)...),
		errors.New(strings.Repeat("x", 1<<20)),
	} {
		once := cross(t, err, leaf)
		first, second := fault.Pack(once, mid), fault.Pack(cross(t, once, mid), top)
		clearRelays(first)
		clearRelays(second)
		if !proto.Equal(first, second) {
			t.Errorf("%.60v: a relay has changed the tree", err)
		}
	}
}

func clearRelays(f *wire.Fault) {
	for _, n := range f.Nodes {
		n.Relays = nil
	}
}

// A tree is one, whatever places its errors name.
func TestE05_PlacesThatThereAreNot(t *testing.T) {
	err := fault.Unpack(&wire.Fault{Nodes: []*wire.Node{
		{Message: "root", Parent: 7}, {Message: "itself", Parent: 1}, {Message: "behind", Parent: 3}, {Message: "none", Parent: 1 << 31}, {Message: "right", Parent: 3},
	}})
	if got, want := shape(err), ".(.)(.)(.(.))"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	checkBounds(t, err)
}

// FuzzFault: bytes from a peer, as its Fault: reading, printing, judging and
// passing it on never fail, and what comes of them is bounded.
func FuzzFault(f *testing.F) {
	hydra := &twice{}
	hydra.self = hydra
	for _, err := range []error{
		io.EOF, fmt.Errorf("a\nb: %w", fault.ErrProtocol), fault.Join(io.EOF, context.Canceled, errors.New("x")),
		&fault.ContextCancelled{Canceller: leaf, Reason: "r"}, &fault.ActorDied{ID: leaf, LastLog: []string{"x"}},
		&quota{Used: 1, Tags: map[string]string{"a": "b"}}, status.Error(5, "no"), &fault.PanicError{Value: "v", Stack: "s\ns"},
		chain(40, io.EOF), fault.Settle(errors.Join(io.EOF, errors.New("x")), io.EOF), &pickyReader{}, &opaque{io.EOF},
	} {
		f.Add(tobytes(f, fault.Pack(err, leaf)))
		f.Add(tobytes(f, fault.Pack(cross(f, err, leaf), mid)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var w wire.Fault
		if proto.Unmarshal(data, &w) != nil {
			return
		}
		err := fault.Unpack(&w)
		checkBounds(t, err)
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q", err.Error())
		}
		if status.Code(err) == 0 {
			t.Error("an error with the status OK")
		}
		cancel := fault.IsCancel(err)
		for _, other := range []error{io.EOF, context.Canceled, context.DeadlineExceeded, err, nil} {
			_, _ = errors.Is(err, other), fault.Holds(err, other)
			if fault.Settle(err, other) == nil {
				t.Error("a failure was settled away")
			}
		}
		_, _ = fault.Cancelled(err)
		_ = fault.Also(err)
		far := cross(t, err, mid)
		if fault.IsCancel(far) != cancel {
			t.Errorf("a cancel: %v, and %v after a relay\n%+v", cancel, !cancel, err)
		}
		if id := remote(t, err).ID(); id != "" && remote(t, far).ID() != id {
			t.Errorf("id %q became %q", id, remote(t, far).ID())
		}
		for range 5 {
			far = cross(t, far, top, actor.ID{Name: "x\xff", UUID: "u\xff"})
		}
		checkBounds(t, far)
	})
}
