package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

type request struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	Tags  []string `json:"tags"`
}

// echoed asserts that a value of T comes back as it went.
func echoed[T any](t *testing.T, values ...T) {
	t.Helper()
	echo := contract.Func[T, T]("echo")
	p := pair.Serve(t, echo.Handle(func(_ context.Context, v T) (T, error) { return v, nil }))
	for _, want := range values {
		if got, err := echo.Call(t.Context(), p, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: got %v, %v; want %v", want, got, err, want)
		}
	}
}

func TestP01_ZeroAndNilAreValuesLikeAnyOther(t *testing.T) {
	echoed(t, 0, -1, 1<<62)
	echoed(t, false, true)
	echoed(t, "", "text", "\xff\xfe")
	echoed[*request](t, nil, &request{}, &request{Name: "x", Tags: []string{""}})
	echoed[map[string]int](t, nil, map[string]int{}, map[string]int{"": 0})
	echoed[[]byte](t, nil, []byte{0})
	echoed[any](t, nil, "text", true)
	echoed(t, struct{}{})
	echoed(t, time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC))
	echoed(t, 0.1)
}

func TestP01_ProtobufMessagesTravelAsSuch(t *testing.T) {
	echo := contract.Func[*wrapperspb.StringValue, *wrapperspb.Int64Value]("length")
	p := pair.Serve(t, echo.Handle(func(_ context.Context, s *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(int64(len(s.GetValue()))), nil
	}))
	for _, text := range []string{"", "four"} {
		got, err := echo.Call(t.Context(), p, wrapperspb.String(text))
		if err != nil || got.GetValue() != int64(len(text)) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestP03_EndpointThatIsNotExposed(t *testing.T) {
	one, two := contract.Func[int, int]("one"), contract.Source[int, int]("two")
	missing := contract.Func[int, int]("missing")
	p := pair.Serve(t, one.Handle(func(_ context.Context, n int) (int, error) { return n, nil }), two.Handle(counting))
	_, err := missing.Call(t.Context(), p, 1)
	n, ok := errors.AsType[*fault.NotExposed](err)
	if !errors.Is(err, fault.ErrNotExposed) || !ok || n.Endpoint != "missing" || !slices.Equal(n.Exposed, []string{"one", "two"}) {
		t.Errorf("a name that is not there: %v", err)
	}
	for _, name := range []string{"missing", "one", "two", p.Callee.String()} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the text does not say %q: %v", name, err)
		}
	}
	_, err = contract.Func[int, int]("two").Call(t.Context(), p, 1)
	if n, ok = errors.AsType[*fault.NotExposed](err); !ok || n.Kind != "func" || n.Actual != "source" || !errors.Is(err, fault.ErrNotExposed) {
		t.Errorf("a stream that was called: %v", err)
	}
	for _, err := range contract.Source[int, int]("one").Stream(t.Context(), p, 1) {
		if n, ok = errors.AsType[*fault.NotExposed](err); !ok || n.Kind != "source" || n.Actual != "func" {
			t.Errorf("a call that was streamed: %v", err)
		}
	}
	if got, err := one.Call(t.Context(), p, 7); got != 7 || err != nil {
		t.Errorf("the actor does not live on: %d, %v", got, err)
	}
}

func TestP03_ExposeRefusesWhatCannotBeServed(t *testing.T) {
	f := func(_ context.Context, n int) (int, error) { return n, nil }
	one := contract.Func[int, int]("one").Handle(f)
	for name, handlers := range map[string][]contract.Handler{
		"twice":      {one, one},
		"no name":    {contract.Func[int, int]("").Handle(f)},
		"runtime's":  {contract.Func[int, int]("trellis/cancel").Handle(f)},
		"no handler": {{}},
	} {
		if _, err := endpoint.Expose(actor.NewID("x"), handlers...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The two ends were built with different types: the call fails before the handler
// runs, and the error names both types and the field.
func TestP08_ArgumentsThatDoNotFit(t *testing.T) {
	type older struct {
		Name  string   `json:"name"`
		Count string   `json:"count"`
		Tags  []string `json:"tags"`
	}
	served := contract.Func[request, int]("do")
	p := pair.Serve(t, served.Handle(func(context.Context, request) (int, error) {
		t.Error("the handler ran")
		return 0, nil
	}))
	_, err := contract.Func[older, int]("do").Call(t.Context(), p, older{})
	c := misfit(t, err)
	if c.Endpoint != "do" || c.What != "arguments" || c.Field != "arguments.count" {
		t.Errorf("got %+v", c)
	}
	if !strings.Contains(c.Want, "contract_test.request") || !strings.Contains(c.Got, "contract_test.older") {
		t.Errorf("want %q, got %q: both types must be named", c.Want, c.Got)
	}
	table, noTable := p.Table(t.Context())
	if noTable != nil {
		t.Fatal(noTable)
	}
	if callee := table.Peer().String(); strings.Count(err.Error(), callee) != 1 {
		t.Errorf("U10: %q does not name %s once", err, callee)
	}
}

func TestP08_OptionalFieldsMayDiffer(t *testing.T) {
	type newer struct {
		Name  string   `json:"name"`
		Count int      `json:"count"`
		Tags  []string `json:"tags"`
		Extra string   `json:"extra,omitempty"`
	}
	served := contract.Func[request, string]("do")
	p := pair.Serve(t, served.Handle(func(_ context.Context, r request) (string, error) { return r.Name, nil }))
	if got, err := contract.Func[newer, string]("do").Call(t.Context(), p, newer{Name: "x"}); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Calls by hand carry no fingerprint: the callee finds what does not fit.
func TestP08_ArgumentsByHand(t *testing.T) {
	served := contract.Func[request, request]("do")
	p := pair.Serve(t, served.Handle(func(_ context.Context, r request) (request, error) { r.Count++; return r, nil }))
	byHand := contract.FuncByHand("do")
	got, err := byHand.Call(t.Context(), p, json.RawMessage(`{"name": "x", "count": 1}`))
	if want := `{"name":"x","count":2,"tags":null}`; string(got) != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for args, field := range map[string]string{
		`{"name": "x", "count": "two"}`: "count",
		`{"name": 7}`:                   "name",
		`{"names": "x"}`:                "",
		`[]`:                            "",
		`{} {}`:                         "",
		``:                              "",
	} {
		_, err := byHand.Call(t.Context(), p, json.RawMessage(args))
		if args == "" || args == "{} {}" {
			if err == nil {
				t.Errorf("%q: no error", args)
			}
			continue
		}
		c := misfit(t, err)
		if c.Field != field || c.What != "arguments" || !strings.Contains(c.Want, "contract_test.request") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// A result that cannot be encoded fails at the side that would send it.
func TestP08_ValuesThatCannotBeEncodedFailAtTheirSender(t *testing.T) {
	served := contract.Func[any, any]("do")
	ran := 0
	p := pair.Serve(t, served.Handle(func(context.Context, any) (any, error) { ran++; return func() {}, nil }))
	_, err := served.Call(t.Context(), p, make(chan int))
	if c := misfit(t, err); c.What != "arguments" || c.Got != "chan int" || ran != 0 {
		t.Errorf("arguments: %v; the handler ran %d times", err, ran)
	}
	_, err = served.Call(t.Context(), p, 1)
	if c := misfit(t, err); c.What != "result" || c.Got != "func()" || ran != 1 {
		t.Errorf("result: %v", err)
	}
	if r, ok := errors.AsType[*fault.RemoteError](err); !ok || !r.Origin.Is(p.Callee) {
		t.Errorf("it did not arise at the sender: %v", err)
	}
	circle := map[string]any{}
	circle["self"] = circle
	_, err = served.Call(t.Context(), p, circle)
	if c := misfit(t, err); c.What != "arguments" || !strings.Contains(c.Detail, "contains itself") || ran != 1 {
		t.Errorf("arguments that contain themselves: %v", err)
	}
}

func TestP09_MetadataAndDeadlineReachTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := contract.Func[int, contract.Metadata]("inner")
		ctxs := contract.Context[int, contract.Metadata, int, int, int]("ctx")
		p := pair.Serve(t,
			inner.Handle(func(ctx context.Context, _ int) (contract.Metadata, error) {
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Minute {
					t.Errorf("the deadline is in %v", time.Until(deadline))
				}
				return contract.MetadataFrom(ctx), nil
			}),
			ctxs.Handle(func(ctx context.Context, _ int, c *contract.Callee[contract.Metadata, int, int]) (int, error) {
				c.Go(func(ctx context.Context) error {
					if contract.MetadataFrom(ctx)["tenant"] != "blue" {
						t.Error("a task of the handler has no metadata")
					}
					return nil
				})
				return 0, c.Started(contract.MetadataFrom(ctx))
			}))
		ctx, stop := context.WithTimeout(contract.WithMetadata(t.Context(), contract.Metadata{"tenant": "blue"}), time.Minute)
		defer stop()
		if got, err := inner.Call(ctx, p, 0); err != nil || got["tenant"] != "blue" {
			t.Errorf("got %v, %v", got, err)
		}
		_, err := ctxs.Open(ctx, p, 0, func(_ context.Context, c *contract.Opener[contract.Metadata, int, int, int]) error {
			if c.Value()["tenant"] != "blue" {
				t.Errorf("Started says %v", c.Value())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestP10_PanicOfATypedHandler(t *testing.T) {
	div := contract.Func[int, int]("div")
	p := pair.Serve(t, div.Handle(func(_ context.Context, n int) (int, error) { return 100 / n, nil }))
	_, err := div.Call(t.Context(), p, 0)
	if pe, ok := errors.AsType[*fault.PanicError](err); !ok || !strings.Contains(pe.Value, "divide by zero") || pe.Stack == "" {
		t.Errorf("got %v", err)
	}
	if got, err := div.Call(t.Context(), p, 5); got != 20 || err != nil {
		t.Errorf("after the panic: %d, %v", got, err)
	}
}

// Optional fields are not part of a fingerprint. One whose type has changed is found by whoever
// reads it, and the error names the actor that has sent it: no error came from there.
func TestP08_WhatTheCallerCannotReadNamesItsSender(t *testing.T) {
	type sent struct {
		N string `json:"n,omitempty"`
	}
	type read struct {
		N int `json:"n,omitempty"`
	}
	value := sent{"one"}
	p := pair.Serve(t,
		contract.Func[none, sent]("func").Handle(func(context.Context, none) (sent, error) { return value, nil }),
		contract.Source[none, sent]("source").Handle(func(context.Context, none) iter.Seq2[sent, error] {
			return func(yield func(sent, error) bool) { yield(value, nil) }
		}),
		contract.Context[none, sent, none, none, none]("started").Handle(func(_ context.Context, n none, c *contract.Callee[sent, none, none]) (none, error) {
			return n, c.Started(value)
		}),
		contract.Context[none, none, none, none, sent]("result").Handle(func(_ context.Context, n none, c *contract.Callee[none, none, none]) (sent, error) {
			return value, c.Started(n)
		}))
	_, byFunc := contract.Func[none, read]("func").Call(t.Context(), p, none{})
	var bySource error
	for _, bySource = range contract.Source[none, read]("source").Stream(t.Context(), p, none{}) {
	}
	_, byStarted := contract.Context[none, read, none, none, none]("started").Open(t.Context(), p, none{},
		func(context.Context, *contract.Opener[read, none, none, none]) error { return nil })
	_, byResult := contract.Context[none, none, none, none, read]("result").Open(t.Context(), p, none{},
		func(context.Context, *contract.Opener[none, none, none, read]) error { return nil })
	for want, err := range map[string]error{"result of func": byFunc, "message of source": bySource, "started of started": byStarted, "result of result": byResult} {
		c := misfit(t, err)
		if got := c.What + " of " + c.Endpoint; got != want || c.Field != "n" && c.Field != "contract_test.read.n" {
			t.Errorf("%s: %+v", want, c)
		}
		if strings.Count(err.Error(), p.Callee.String()) != 1 {
			t.Errorf("%s: %q does not name %s once", want, err, p.Callee)
		}
	}
}
