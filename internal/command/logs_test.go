package command

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	kept "github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// O02: of an actor that has gone there are records, also where none of them are those that were asked for; of one that
// never was there are none.
func TestO02_LogsOfWhoHasGone(t *testing.T) {
	store := kept.New("", 10, 0, nil)
	store.Put(telemetry.Record{Time: time.Now(), Actor: "gone", Level: slog.LevelDebug, Text: "bye"})
	ctx := telemetry.With(directory.With(t.Context(), directory.NewMemory("", nil)), store)
	for name, want := range map[string]error{"gone": nil, "never": directory.ErrNotFound, "": nil} {
		if err := new(program).logs(ctx, telemetry.Filter{Actor: name, Grep: "nothing"}); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("O02: %q: %v, want %v", name, err, want)
		}
	}
}
