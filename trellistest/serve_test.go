package trellistest_test

import (
	"context"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var greet = contract.Func[string, string]("greet")

func TestServe(t *testing.T) {
	greeter := trellistest.Serve(t, greet.Handle(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
	if text, err := greet.Call(t.Context(), greeter, "Ada"); err != nil || text != "Hello, Ada!" {
		t.Errorf("%q, %v", text, err)
	}
}
