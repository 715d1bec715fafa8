package page

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// Whatever was folded away, a reader that begins has the whole tree, and one that comes back has what it has missed or is told that
// it has not. How much is kept is bounded by number and by size.
func TestAFeedOfManyEvents(t *testing.T) {
	for name, size := range map[string]int{"many": 10, "large": 16 << 10} {
		t.Run(name, func(t *testing.T) {
			var f feed
			f.init(context.Background())
			f.begin.Do(func() {}) // nobody follows: what comes is said below
			var want directory.Table
			for i := range 3*mostEvents + 7 {
				e := directory.Event{Path: fmt.Sprintf("a%d", i%50), Actor: actor.NewID("a"), Epoch: 1 + i/50, To: directory.Ready}
				if i%50 == 49 {
					e.To = directory.Gone
				}
				want.Apply(e)
				f.add(told{event: e, line: []byte(strings.Repeat("x", size))})
				if len(f.kept) > mostEvents || f.bytes > mostBytes+size {
					t.Fatalf("%d events of %d bytes are kept", len(f.kept), f.bytes)
				}
			}
			all, lost, _, _ := f.after(0)
			if lost {
				t.Error("a reader that begins has lost some")
			}
			var got directory.Table
			for _, one := range all {
				got.Apply(one.event)
			}
			if a, b := fmt.Sprint(states(&got)), fmt.Sprint(states(&want)); a != b {
				t.Errorf("the tree is %s, want %s", a, b)
			}
			last := f.first + len(f.kept) - 1
			if all, lost, _, _ := f.after(last); len(all) > 0 || lost {
				t.Errorf("behind the last one there are %d, lost %v", len(all), lost)
			}
			if all, lost, _, _ := f.after(f.first - 1); len(all) != len(f.kept) || lost {
				t.Errorf("behind the last one that is not kept there are %d, lost %v", len(all), lost)
			}
			for _, id := range []int{1, f.first - 2, last + 1} {
				if all, lost, _, _ := f.after(id); !lost || len(all) < len(f.kept) {
					t.Errorf("behind %d there are %d, lost %v", id, len(all), lost)
				}
			}
		})
	}
}

func states(t *directory.Table) (all []string) {
	for _, e := range t.Entries("") {
		all = append(all, fmt.Sprintf("%s %d %s", e.Path, e.Epoch, e.State))
	}
	return all
}
