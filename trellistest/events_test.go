package trellistest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// What WantEvents says of a tree whose actors a and b have started, and then died, a first.
func TestWantEventsOfTwoDeaths(t *testing.T) {
	anyOrder, no := trellistest.InAnyOrder, trellistest.No
	died := func(actor string) trellistest.Expected { return trellistest.Ended(actor, directory.Crashed) }
	sick := trellistest.Unhealthy
	type calls [][]trellistest.Expected
	for name, c := range map[string]struct {
		want  calls
		words []string // of the one problem; nil if there is to be none
	}{
		"in order":                     {calls{{died("a"), died("b")}}, nil},
		"wrong order":                  {calls{{died("b"), died("a")}}, []string{"ended b crashed  ≠  ended a crashed"}},
		"in any order":                 {calls{{anyOrder(died("b"), died("a"))}}, nil},
		"any actor before a named one": {calls{{anyOrder(died(""), died("a"))}}, nil},
		"two chains of choices": {
			calls{{anyOrder(trellistest.Ended("", ""), trellistest.Ended("", directory.Crashed))}, {no(died(""))}}, nil,
		},
		"any order, and one too few":       {calls{{anyOrder(died("a"))}}, []string{"≠  ended b crashed"}},
		"any order, and a wrong one":       {calls{{anyOrder(died("a"), died("c"))}}, []string{"ended c crashed  ≠  ended b crashed"}},
		"any order inside any order":       {calls{{anyOrder(anyOrder(died("b")), died("a"))}}, nil},
		"nothing in any order":             {calls{{anyOrder(), died("a"), died("b"), anyOrder()}}, nil},
		"no event of some":                 {calls{{no(anyOrder(sick("a"), died("b")))}}, []string{"≠  ended b crashed"}},
		"no event of some, rightly":        {calls{{no(anyOrder(sick("a"), sick("b")))}}, nil},
		"in any order, and not":            {calls{{anyOrder(died("a"), no(died("b")))}}, []string{"≠  ended b crashed"}},
		"in any order, and not, rightly":   {calls{{anyOrder(died("b"), no(sick("b")), died("a"))}}, nil},
		"no event leaves those it passes":  {calls{{no(sick("a"))}, {died("a"), died("b")}}, nil},
		"an expected event is passed once": {calls{{died("a"), died("b")}, {no(died(""))}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				problems := record(func(r testing.TB) {
					tree := family(config.Supervision{}, "a", "b")
					for i := range tree.Actors {
						tree.Actors[i].Backoff = config.Backoff{Initial: config.Duration(time.Hour), Max: config.Duration(time.Hour)}
					}
					h := trellistest.Host(r, tree, greeter())
					for _, actor := range []string{"a", "b"} {
						h.Process(actor).Die(1)
						synctest.Wait()
					}
					for _, want := range c.want {
						h.WantEvents(want...)
					}
				})
				if c.words == nil {
					wantNone(t, problems)
					return
				}
				wantOne(t, problems, c.words...)
			})
		})
	}
}
