package trellistest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var deposit = contract.Func[int, int]("deposit")

// account is the state of the plugin under test.
type account struct{ balance atomic.Int64 }

func (a *account) deposit(_ context.Context, amount int) (balance int, err error) {
	return int(a.balance.Add(int64(amount))), nil
}

// testDeposits says what has to hold in each of 100 schedules: nothing that was confirmed is lost,
// and nothing is there that nobody has paid. In a plugin's own package it is called TestDeposits.
func testDeposits(t *testing.T) {
	trellistest.Explore(t, 100, func(t *testing.T, s *trellistest.Schedule) {
		var a account
		bank := trellistest.Serve(t, deposit.Handle(a.deposit))
		confirmed, paid := 0, 1+s.Rand().IntN(50)
		for range paid {
			_, err := deposit.Call(t.Context(), bank, 1)
			switch {
			case err == nil:
				confirmed++
			case !s.Excuses(err): // nothing has happened to the actor that explains it
				t.Error(err)
			}
		}
		if got := int(a.balance.Load()); got < confirmed || got > paid {
			t.Errorf("the balance is %d: %d of %d were confirmed", got, confirmed, paid)
		}
	})
}

// A test in many schedules, in which frames are slow, and actors are lost or asked to end.
func ExampleExplore() {
	runTest(testDeposits)
	// Output: PASS
}
