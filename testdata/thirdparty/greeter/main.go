package main

import (
	"context"

	"example.com/thirdparty/greeting"
	"github.com/seed-2ba35074/trellis/sdk"
)

func main() {
	sdk.Serve(greeting.Greet.Handle(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
}
