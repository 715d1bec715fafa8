package phases_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// The moments of a nursery.
const (
	nurseryOpen    = "open"
	nurseryClosing = "cancelled, and its child has not ended"
	nurseryClosed  = "closed"
)

var nurseryTable = table{
	"A nursery",
	[]string{nurseryOpen, nurseryClosing, nurseryClosed},
	[]row{
		{"Nursery.Start", []string{"waits, the cause or ErrNurseryClosed", "ErrNurseryClosed", "ErrNurseryClosed"}},
		{"OneShot.Wait", []string{"waits, the cause or ErrNurseryClosed", "ErrNurseryClosed", "ErrNurseryClosed"}},
		{"Nursery.Go", []string{"true", "true", "false"}},
		{"Nursery.Done", []string{"waits, closed", "waits, closed", "closed"}},
		{"Events", []string{"waits, the end", "waits, the end", "the end"}},
		{"Nursery.Cancel", []string{"returns", "returns", "returns"}},
	},
}

var nurseryProbes = map[string]probe{
	"Nursery.Start": func(ctx context.Context, s *stage) string {
		_, err := s.n.Start(ctx, hanging(s.t, "actor"))
		return words(err)
	},
	"OneShot.Wait": func(ctx context.Context, s *stage) string {
		_, err := host.Run(s.n, hanging(s.t, "actor"), echo, none{}).Wait(ctx)
		return words(err)
	},
	"Nursery.Go":   func(_ context.Context, s *stage) string { return strconv.FormatBool(s.n.Go(func() {})) },
	"Nursery.Done": func(ctx context.Context, s *stage) string { return closed(ctx, s.n.Done()) },
	"Events": func(ctx context.Context, _ *stage) string {
		for _, err := range host.Events(ctx) {
			if err != nil {
				return words(err)
			}
		}
		if ctx.Err() != nil {
			return words(context.Cause(ctx))
		}
		return "the end"
	},
	"Nursery.Cancel": func(_ context.Context, s *stage) string {
		s.n.Cancel()
		return "returns"
	},
}

// hanging is a program that never shakes hands.
func hanging(t testing.TB, role string) host.Spec {
	s := spec(t, "hanging-"+role, role) // a foreign program and an actor cannot share a name
	s.Env[onceVar] = t.TempDir()        // it is there already
	return s
}

// P14: every public function that waits returns at each moment of its nursery's end.
func TestP14_EachMomentOfANursery(t *testing.T) {
	for _, phase := range nurseryTable.columns {
		t.Run(phase, func(t *testing.T) {
			s := &stage{t: t, role: "actor", hurry: make(chan struct{})}
			outer, end := context.WithCancelCause(t.Context())
			o := host.Options{Log: slog.New(slog.DiscardHandler), Hurry: s.hurry}
			var held []*played
			err := host.OpenNursery(outer, o, func(ctx context.Context, n *host.Nursery) error {
				s.ctx, s.n = ctx, n
				if phase == nurseryClosed {
					return nil
				}
				if phase == nurseryClosing {
					s.up(func(sp *host.Spec) { sp.Restart, sp.Grace, sp.Backoff = config.Temporary, long, config.Backoff{} })
					s.hold()
					end(errEnd)
					s.await("p", 0, directory.Stopping)
				}
				held = s.begin(nurseryTable, phase, nurseryProbes, "Nursery.Cancel")
				end(errEnd)
				<-ctx.Done()
				s.check(s.start("Nursery.Cancel", nurseryProbes["Nursery.Cancel"]), "returns")
				close(s.hurry)
				return nil
			})
			if phase == nurseryClosed {
				held = s.begin(nurseryTable, phase, nurseryProbes)
			} else if !errors.Is(err, errEnd) {
				t.Errorf("the nursery gives %v", err)
			}
			s.finish(held)
		})
	}
}
