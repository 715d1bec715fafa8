package command

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host"
)

// B08: the same between two Go programs, which speak CBOR.
func TestB08_NumbersInAnyAreExactBetweenPrograms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec := host.Spec{Name: "a", Command: []string{self}, Env: map[string]string{roleVar: "plugin", "GORACE": atOnce}}
	err = host.OpenNursery(t.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		a, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		got, err := echo.Call(ctx, a, []any{uint64(9007199254740993), int64(-9007199254740993), 1.5})
		if diff := cmp.Diff([]any{uint64(9007199254740993), int64(-9007199254740993), 1.5}, got); diff != "" {
			t.Error(diff)
		}
		return errors.Join(err, a.Cancel(ctx, "done"))
	})
	if err != nil {
		t.Error(err)
	}
}
