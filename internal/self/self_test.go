package self_test

import (
	"context"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

func TestSelfInContext(t *testing.T) {
	if id, ok := self.From(context.Background()); ok || !id.IsZero() {
		t.Error("there is no actor in an empty ctx")
	}
	want := actor.NewID("me")
	if id, ok := self.From(self.With(t.Context(), want, nil)); !ok || id != want {
		t.Errorf("%v", id)
	}
}
