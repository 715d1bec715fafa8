package host_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// fragile is a registry that loses the places of its actors when the test wants it to.
type fragile struct {
	directory.Registry
	lost chan struct{}
}

func (f *fragile) Join(name string, call func(directory.Entry) contract.Portal) directory.Membership {
	return &place{f.Registry.Join(name, call), f.lost}
}

type place struct {
	directory.Membership
	lost chan struct{}
}

func (p *place) Lost() <-chan struct{} { return p.lost }

// D03: a process whose path may be another one's by now is ended, and no other one is started in its place.
func TestD03_AProcessWithoutItsPlaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()})
		f := &fragile{directory.NewMemory("", nil), make(chan struct{})}
		ctx := directory.With(programs.Context(), f)
		err := host.OpenNursery(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
			s := plug("parser", "good")
			s.Restart = config.Permanent
			if _, err := n.Start(ctx, s); err != nil {
				return err
			}
			close(f.lost)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, directory.ErrLost) {
			t.Errorf("D03: the nursery has ended with %v", err)
		}
		last := directory.Event{}
		for e, err := range f.Watch(t.Context(), "") { // nobody is there any more
			if last = e; err != nil || e.Path == "" {
				break
			}
		}
		if last.Path != "" {
			t.Errorf("D03: %+v is still there", last)
		}
	})
}
