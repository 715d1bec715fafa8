package main

import (
	"testing"

	"example.com/thirdparty/greeting"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestGreet(t *testing.T) {
	actor := trellistest.Serve(t, greeting.Greet.Handle(greet))
	ctx := contract.WithMetadata(t.Context(), contract.Metadata{"salute": "Hello"})
	text, err := greeting.Greet.Call(ctx, actor, "Ada")
	if err != nil || text != "Hello, Ada!" {
		t.Errorf("%q, %v", text, err)
	}
	_, err = greeting.Greet.Call(ctx, actor, "nuts")
	trellistest.WantError[*greeting.Rude](t, err)
}
