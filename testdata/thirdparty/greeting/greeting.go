// Package greeting is what the greeter and its callers share.
package greeting

import "github.com/seed-2ba35074/trellis/shared/contract"

// Greet answers with a greeting.
var Greet = contract.Func[string, string]("greet")
