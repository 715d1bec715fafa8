package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type (
	token    struct{ value string }
	samename struct {
		First  string `cbor:"name"`
		Second string `cbor:"name"`
	}
	base      struct{ ID string }
	other     struct{ ID string }
	shadowing struct {
		base
		other
		ID string
	}
	ambiguous struct {
		base
		other
	}
	renamed struct {
		base
		Own string `json:"ID"`
	}
	embedding struct {
		token //nolint:unused // that is what is tried
		N     int
	}
	excluding struct {
		sync.Mutex `json:"-"`
		N          int
		c          chan int //nolint:unused // that is what is tried
	}
	allExcluded struct {
		F func() `json:"-"`
	}
	node struct {
		Next *node
		Name string
	}
)

var errNoPortal = errors.New("no portal")

// noPortal leads nowhere.
var noPortal = endpoint.Reach(func(context.Context) (dialog.Target, error) { return dialog.Target{}, errNoPortal })

// tried is an endpoint that is called, and served.
type tried struct{ call, serve error }

func try[T any](t *testing.T) tried {
	t.Helper()
	e := contract.Func[int, T]("try")
	var zero T
	handler := e.Handle(func(context.Context, int) (T, error) { return zero, nil })
	_, err := endpoint.Expose(actor.NewID("a"), handler)
	_, called := e.Call(t.Context(), noPortal, 1)
	return tried{called, err}
}

// B22 · F09: values that an encoder would refuse, or whose content it would lose, are
// refused where the endpoint is called and where it is served, before anything is sent.
func TestF09_TypesThatNoEncoderSees(t *testing.T) {
	for want, got := range map[string]tried{
		"contract_test.token":          try[token](t),
		"contract_test.token at Inner": try[struct{ Inner *token }](t),
		"contract_test.token at Inner.List": try[struct {
			Inner struct{ List map[string][]token }
		}](t),
		"contract_test.token at Maybe": try[struct {
			Maybe token `json:",omitempty"` //nolint:modernize // that is what is tried
		}](t),
		"contract_test.token at E":       try[struct{ E embedding }](t),
		"contract_test.samename at name": try[samename](t),
		"contract_test.ambiguous at ID":  try[ambiguous](t),
		"contract_test.renamed at ID":    try[renamed](t),
		"atomic.Int64 at N":              try[struct{ N *atomic.Int64 }](t),
		"sync.Mutex at Mu":               try[struct{ Mu sync.Mutex }](t),
		"regexp.Regexp at R":             try[struct{ R *regexp.Regexp }](t),
		"chan int":                       try[chan int](t),
		"func() at F":                    try[struct{ F func() }](t),
		"complex128":                     try[[]complex128](t),
	} {
		for _, err := range []error{got.call, got.serve} {
			c := misfit(t, err)
			text := c.Got
			if c.Field != "" {
				text += " at " + c.Field
			}
			if text != want || c.Endpoint != "try" || c.What != "result" || c.Detail == "" {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// Everything else that an encoder has a way for is accepted: what is left out on purpose,
// and what has an encoding of its own.
func TestF09_TypesThatAreFine(t *testing.T) {
	for name, got := range map[string]tried{
		"empty": try[struct{}](t), "excluding": try[*excluding](t), "all excluded": try[allExcluded](t),
		"shadowing": try[shadowing](t), "recursive": try[node](t), "time": try[time.Time](t),
		"big": try[struct{ N *big.Int }](t), "address": try[netip.Addr](t), "url": try[url.URL](t),
		"any": try[any](t), "json": try[json.RawMessage](t), "id": try[map[string]actor.ID](t), "blank": try[struct{ _ int }](t),
	} {
		if got.serve != nil || got.call != errNoPortal { //nolint:errorlint // the very value
			t.Errorf("%s: %v, %v", name, got.call, got.serve)
		}
	}
}

// B22: what is behind an interface is seen with the value, and is told in the same words.
func TestB22_ValuesBehindAnInterface(t *testing.T) {
	type boxed struct {
		Label string
		Any   any
	}
	type private struct {
		Any    any
		Log    any            `json:"-"`
		Secret map[string]any `cbor:"-"`
	}
	e := contract.Func[any, none]("open")
	circle := map[string]any{}
	circle["a"], circle["b"] = circle, circle
	for want, value := range map[string]any{
		"contract_test.token":                 token{"x"},
		"contract_test.token at Any":          struct{ Any *token }{&token{"x"}},
		"contract_test.token, deep":           boxed{"a", map[string]any{"b": []any{1, &token{"x"}}}},
		"contract_test.samename at name":      []any{samename{"a", "b"}},
		"sync.Mutex at Mu":                    map[string]any{"m": &struct{ Mu sync.Mutex }{}},
		"chan int":                            []any{make(chan int)},
		"fine: nil":                           nil,
		"fine: text":                          "text",
		"fine: fields that are not sent":      private{1, func() {}, map[string]any{"a": token{"x"}}},
		"fine: list":                          []any{1, "a", nil, []byte("b"), time.Time{}, big.NewInt(1), boxed{"a", 1}},
		"map[string]interface {}, a circle":   circle,
		"contract_test.token, declared twice": boxed{"a", boxed{"b", token{"x"}}},
	} {
		_, err := e.Call(t.Context(), noPortal, value)
		typ, _, _ := strings.Cut(want, ",")
		if strings.HasPrefix(want, "fine") {
			if err != errNoPortal { //nolint:errorlint // the very value
				t.Errorf("%s: %v", want, err)
			}
			continue
		}
		c := misfit(t, err)
		got := c.Got
		if c.Field != "" {
			got += " at " + c.Field
		}
		if got != typ || c.Endpoint != "open" || c.What != "arguments" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
