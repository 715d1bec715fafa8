package fault_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// plain is an error by value, and its pointer is one, too. Its coding is the pointer's.
type plain struct{ text string }

func (p plain) Error() string { return "plain " + p.text }
func (p *plain) MarshalCBOR() ([]byte, error) {
	return append([]byte{0x40 + byte(len(p.text))}, p.text...), nil
}
func (p *plain) UnmarshalCBOR(data []byte) error { p.text = string(data[1:]); return nil }

// listed is an error by value that cannot be compared.
type listed struct{ Items []string }

func (l listed) Error() string { return fmt.Sprint(l.Items) }

// rude is registered by a reader only.
type rude struct{ Word string }

func (*rude) Error() string { return "rude" }

func init() {
	fault.Type[plain]("test.Plain")
	fault.Type[listed]("test.Listed")
}

// TestU7_ErrorsByValue: errors.As finds the form that was returned, and the other one.
func TestU7_ErrorsByValue(t *testing.T) {
	for name, want := range map[string]error{
		"value": plain{"x"}, "pointer": &plain{"x"}, "not comparable": listed{[]string{"a", "b"}}, "pointer to it": &listed{[]string{"a", "b"}},
	} {
		for way, path := range hops {
			t.Run(name+"/"+way, func(t *testing.T) {
				far := cross(t, fmt.Errorf("while working: %w", want), path...)
				found := reflect.New(reflect.TypeOf(want))
				if !errors.As(far, found.Interface()) || !reflect.DeepEqual(found.Elem().Interface(), want) {
					t.Errorf("%+v, want %+v\n%+v", found.Elem(), want, far)
				}
				if story := fmt.Sprintf("%+v", far); strings.Contains(story, "note: ") {
					t.Errorf("a note: %s", story)
				}
			})
		}
	}
	far := cross(t, plain{"x"}, leaf)
	if p, ok := errors.AsType[*plain](far); !ok || p.text != "x" {
		t.Errorf("the pointer to what was returned as a value: %+v", p)
	}
	if !errors.Is(far, plain{"x"}) || errors.Is(far, plain{"y"}) {
		t.Error("errors.Is compares values")
	}
	if settled := fault.Settle(far, nil); settled != far {
		t.Errorf("settled to %v: two forms are one failure", settled)
	}
}

// TestU7_TheStorySaysWhereANameIsNotRegistered, if not at the reader, then at the sender.
func TestU7_TheStorySaysWhereANameIsNotRegistered(t *testing.T) {
	const reader, sender = "is not registered in this program", "and not in the one that returned the error"
	for name, c := range map[string]struct {
		node *wire.Node
		note string // "" for none
	}{
		"type, at the reader":     {&wire.Node{Type: "*a.B", Name: "a.B", Detail: []byte{0xa0}}, `type "a.B" ` + reader},
		"sentinel, at the reader": {&wire.Node{Type: "*errors.errorString", Name: "a.Broken"}, `sentinel "a.Broken" ` + reader},
		"type, at the sender":     {&wire.Node{Type: "*fault_test.quota"}, `type "test.Quota" is registered in this program, ` + sender},
		"value, at the sender":    {&wire.Node{Type: "fault_test.plain"}, `type "test.Plain" is registered in this program, ` + sender},
		"neither":                 {&wire.Node{Type: "*a.B"}, ""},
		"fields left out":         {&wire.Node{Type: "*fault_test.quota", Note: "too large"}, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			c.node.Message, c.node.Origin = "m", wire.FromID(leaf)
			want := "m\n  arose in leaf@11111111 (pid 101)"
			if c.note != "" {
				want += "\n  note: " + c.note
			}
			_, got, _ := strings.Cut(fmt.Sprintf("%+v", fault.Unpack(alone(c.node))), ": ")
			if got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
	if story := fmt.Sprintf("%+v", cross(t, (*rude)(nil), leaf)); !strings.Contains(story, "note: it is a nil pointer") {
		t.Error(story)
	}
	fault.Type[rude]("test.Rude")
	if story := fmt.Sprintf("%+v", cross(t, (*rude)(nil), leaf)); strings.Contains(story, "registered") {
		t.Errorf("it is registered: %s", story)
	}
}
