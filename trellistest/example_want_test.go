package trellistest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var reserve = contract.Func[int, string]("reserve")

// SoldOut is an error of the plugin's contract. It keeps its type on its way to another actor,
// as both import the package that registers it.
type SoldOut struct{ Left int }

func (e *SoldOut) Error() string { return fmt.Sprintf("only %d seats are left", e.Left) }

func init() { fault.Type[SoldOut]("example.SoldOut") }

// testSoldOut wants an error that carries what the caller needs. In a plugin's own package it is
// called TestSoldOut.
func testSoldOut(t *testing.T) {
	theatre := trellistest.Serve(t, reserve.Handle(func(_ context.Context, seats int) (string, error) {
		return "", fmt.Errorf("%d seats: %w", seats, &SoldOut{Left: 2})
	}))
	_, err := reserve.Call(t.Context(), theatre, 5)
	if e := trellistest.WantError[*SoldOut](t, err); e.Left != 2 {
		t.Errorf("%d seats are left", e.Left)
	}
}

// The author's error, out of all that has wrapped it on the way.
func ExampleWantError() {
	runTest(testSoldOut)
	// Output: PASS
}
