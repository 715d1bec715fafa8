// Package program is the main program of the plugin conform, for other mains and for test
// binaries that play it.
package program

import (
	"encoding/json"
	"log/slog"
	"os"

	"github.com/seed-2ba35074/trellis/plugins/conform/steps"
	"github.com/seed-2ba35074/trellis/sdk"
)

// Serve serves the endpoints of package steps, within the limits that the variable
// CONFORM_LIMITS asks for. It does not return.
func Serve() {
	var limits struct{ MaxMessage, MaxDialogs, MaxArguments int }
	if text := os.Getenv("CONFORM_LIMITS"); text != "" {
		if err := json.Unmarshal([]byte(text), &limits); err != nil {
			slog.Error("CONFORM_LIMITS is not JSON", "error", err)
			os.Exit(1)
		}
	}
	sdk.Plugin{
		Endpoints:  steps.Endpoints(sdk.Parent),
		MaxMessage: limits.MaxMessage, MaxDialogs: limits.MaxDialogs, MaxArguments: limits.MaxArguments,
	}.Serve()
}
