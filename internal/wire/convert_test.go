package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestIdentities(t *testing.T) {
	id := actor.ID{Name: "n", UUID: "u", PID: 3}
	if got := wire.FromID(id).ToID(); got != id {
		t.Errorf("%+v", got)
	}
	if wire.FromID(actor.ID{Name: "nobody"}) != nil || !(*wire.Identity)(nil).ToID().IsZero() {
		t.Error("nobody is an absent identity")
	}
	if _, err := proto.Marshal(wire.FromID(actor.ID{Name: "n\xff", UUID: "u\xff"})); err != nil {
		t.Errorf("a name keeps the frame from being encoded: %v", err)
	}
	long := (&wire.Identity{Name: strings.Repeat("é", 1000), Uuid: strings.Repeat("x", 1000)}).ToID()
	if len(long.Name) > 260 || len(long.UUID) > 260 || !strings.HasPrefix(long.Name, "éé") {
		t.Errorf("%d and %d bytes", len(long.Name), len(long.UUID))
	}
}

// TestE05_RecordsKeepEveryField fills every field, so that a new one which the
// conversion forgets is found.
func TestE05_RecordsKeepEveryField(t *testing.T) {
	want := &fault.Record{}
	fill(reflect.ValueOf(want).Elem(), 2)
	b, err := proto.Marshal(wire.FromRecord(want))
	if err != nil {
		t.Fatal(err)
	}
	var f wire.Fault
	if err := proto.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if got := f.ToRecord(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// fill sets every field to something, and recurs a number of levels deep.
func fill(v reflect.Value, levels int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint32:
		v.SetUint(8)
	case reflect.Uint8:
		v.SetUint(9)
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f, levels)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Pointer && levels == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), levels)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), levels-1)
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func TestE05_LargeFaultsAreCutWithANote(t *testing.T) {
	deep := &wire.Fault{Message: "m"}
	for range 100 {
		deep = &wire.Fault{Message: "m", Causes: []*wire.Fault{deep}}
	}
	wide := &wire.Fault{Message: "m", Also: make([]*wire.Fault, 10_000)}
	for name, f := range map[string]*wire.Fault{"deep": deep, "wide": wide} {
		n, note := 0, ""
		for todo := []*fault.Record{f.ToRecord()}; len(todo) > 0; todo = todo[1:] {
			n, note = n+1, note+todo[0].Note
			todo = append(append(todo, todo[0].Causes...), todo[0].Also...)
		}
		if n > 5000 || !strings.Contains(note, "cut off") {
			t.Errorf("%s: %d records, note %q", name, n, note)
		}
	}
}
