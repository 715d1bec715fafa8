// Command racy is a plugin with a data race, for the tests of package trellistest.
package main

import (
	"context"
	"sync"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func main() {
	sdk.Serve(contract.Func[int, int]("count").Handle(func(_ context.Context, n int) (int, error) {
		var sum int
		var adding sync.WaitGroup
		for range n {
			adding.Go(func() { sum++ })
		}
		adding.Wait()
		return sum, nil
	}))
}
