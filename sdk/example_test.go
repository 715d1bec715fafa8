package sdk_test

import (
	"context"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// A plugin, whole. Its endpoint is declared in a package that its callers import.
func ExampleServe() {
	greet := contract.Func[string, string]("greet")

	sdk.Serve(greet.Handle(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
}
