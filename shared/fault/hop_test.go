package fault_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The actors of these tests. An error arises in the leaf and goes up.
var (
	leaf = actor.ID{Name: "leaf", UUID: "11111111-1111-4111-8111-111111111111", PID: 101}
	mid  = actor.ID{Name: "mid", UUID: "22222222-2222-4222-8222-222222222222", PID: 102}
	top  = actor.ID{Name: "top", UUID: "33333333-3333-4333-8333-333333333333", PID: 103}
	root = actor.ID{Name: "root", UUID: "44444444-4444-4444-8444-444444444444", PID: 104}
)

// cross takes an error out of each actor in turn, through the bytes that go over
// a link, and gives what the last one's parent sees.
func cross(t testing.TB, err error, actors ...actor.ID) error {
	t.Helper()
	for _, id := range actors {
		err = unbytes(t, tobytes(t, fault.Pack(err, id)))
	}
	return err
}

// alone is the fault of one error.
func alone(n *wire.Node) *wire.Fault { return &wire.Fault{Nodes: []*wire.Node{n}} }

func tobytes(t testing.TB, f *wire.Fault) []byte {
	t.Helper()
	b, err := proto.Marshal(f)
	if err != nil {
		t.Fatalf("E05: a fault that cannot be encoded: %v", err)
	}
	return b
}

func unbytes(t testing.TB, b []byte) error {
	t.Helper()
	var f wire.Fault
	if err := proto.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return fault.Unpack(&f)
}

// remote is the RemoteError that err itself is.
func remote(t testing.TB, err error) *fault.RemoteError {
	t.Helper()
	r, ok := err.(*fault.RemoteError)
	if !ok {
		t.Fatalf("%T, want *fault.RemoteError", err)
	}
	return r
}

// hops are the ways that tests send errors: to the parent, and over three.
var hops = map[string][]actor.ID{"one hop": {leaf}, "three hops": {leaf, mid, top}}

func TestC23_PackOfNil(t *testing.T) {
	if f := fault.Pack(nil, leaf); f != nil {
		t.Errorf("%+v", f)
	}
	for _, f := range []*wire.Fault{nil, {}} {
		if err := fault.Unpack(f); err == nil {
			t.Error("an absent fault is an error nevertheless")
		}
	}
}

func TestOneFailureOneID(t *testing.T) {
	first := cross(t, errors.New("x"), leaf)
	id := remote(t, first).ID()
	if id == "" {
		t.Fatal("no id")
	}
	if got := remote(t, cross(t, first, mid, top)).ID(); got != id {
		t.Errorf("after two relays %s, was %s", got, id)
	}
	if other := remote(t, cross(t, errors.New("x"), leaf)).ID(); other == id {
		t.Error("two failures have one id")
	}
}
