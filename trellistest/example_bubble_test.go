package trellistest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var double = contract.Func[int, int]("double")

// testSlowLink sees what callers get over a link that is slow, stalled and lost. It spends days of
// virtual time in a moment. In a plugin's own package it is called TestSlowLink.
func testSlowLink(t *testing.T) {
	trellistest.Bubble(t, func(t *testing.T) {
		doubler := trellistest.Serve(t, double.Handle(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))

		doubler.Delay(time.Hour)
		begun := time.Now()
		if n, err := double.Call(t.Context(), doubler, 21); err != nil || n != 42 || time.Since(begun) != 2*time.Hour {
			t.Errorf("%d, %v after %v", n, err, time.Since(begun))
		}

		doubler.Stall(trellistest.FromActor)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if _, err := double.Call(ctx, doubler, 21); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call over a stalled link: %v", err)
		}

		doubler.Cut()
		<-doubler.Done() // an actor without a link ends
		_, err := double.Call(t.Context(), doubler, 21)
		trellistest.WantError[*fault.LinkLost](t, err)
	})
}

// The faults of a link, in virtual time.
func ExampleBubble() {
	runTest(testSlowLink)
	// Output: PASS
}
