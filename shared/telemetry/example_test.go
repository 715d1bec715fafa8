package telemetry_test

import (
	"fmt"
	"log/slog"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// A filter is about an actor and all below it, a level, and what a record says. Watch takes one; Compile
// makes it a function.
func ExampleFilter() {
	records := []telemetry.Record{
		{Actor: "census/parser", Level: slog.LevelWarn, Text: "slow", Fields: []telemetry.Field{{Key: "file", Value: "a b.go"}}},
		{Actor: "census/parser", Level: slog.LevelInfo, Text: "parsed"},
		{Actor: "greeter", Level: slog.LevelError, Text: "slow"},
	}
	slow, err := telemetry.Filter{Actor: "census", Level: slog.LevelWarn, Grep: "slow"}.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range records {
		if slow(&r) {
			fmt.Println(r.Actor, r.String())
		}
	}
	// Output: census/parser slow file="a b.go"
}
