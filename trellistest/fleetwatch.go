package trellistest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// fleetView is what a watcher makes of what it is told. It checks that this fits together.
type fleetView struct {
	held    map[string]fleet.Entry
	current bool
	highest map[string]uint64 // epoch of a name
}

func (v *fleetView) fold(c fleet.Change) error {
	before, held := v.held[c.Name]
	switch c.Kind {
	case fleet.Held:
		if held || (v.current && c.Epoch <= v.highest[c.Name]) || c.Epoch < v.highest[c.Name] {
			return fmt.Errorf("%s is held in epoch %d, after epoch %d; held before: %v", c.Name, c.Epoch, v.highest[c.Name], held)
		}
		v.held[c.Name], v.highest[c.Name] = c.Entry, c.Epoch
	case fleet.Changed, fleet.Released:
		if !held || before.Epoch != c.Epoch {
			return fmt.Errorf("%s is %v in epoch %d; held before: %v, in epoch %d", c.Name, c.Kind, c.Epoch, held, before.Epoch)
		}
		v.held[c.Name] = c.Entry
		if c.Kind == fleet.Released {
			delete(v.held, c.Name)
		}
	case fleet.Current:
		v.current = true
	case fleet.Reset:
		v.current = false
		clear(v.held)
	default:
		return fmt.Errorf("a change of kind %v", c.Kind)
	}
	return nil
}

// watch folds what happens until a name is held.
func (f *fleetTest) watch(r fleet.Registry, prefix, end string) map[string]fleet.Entry {
	return f.watchSlowly(r, prefix, end, func(fleet.Change) {})
}

func (f *fleetTest) watchSlowly(r fleet.Registry, prefix, end string, seen func(fleet.Change)) map[string]fleet.Entry {
	v := &fleetView{held: map[string]fleet.Entry{}, highest: map[string]uint64{}}
	for c, err := range r.Watch(f.Context(), prefix) {
		if err == nil {
			err = v.fold(c)
		}
		if err != nil {
			f.Error("watching:", err)
			return nil
		}
		if c.Name == end && c.Kind == fleet.Held {
			return v.held
		}
		seen(c)
	}
	f.Error("the watch has ended without an error")
	return nil
}

// churn has 500 names come and go, and watchers that come before, in between and late see the same in the end.
func (f *fleetTest) churn() {
	const hosts, names, rounds = 5, 100, 2
	r := f.open()
	views := make(chan map[string]fleet.Entry, hosts+2)
	watch := func() *task.Worker { return task.Start(func() { views <- f.watch(r, "n/", "n/end") }) }
	watchers := []*task.Worker{watch()}
	var all []*task.Worker
	for i := range hosts {
		m := f.join(f.open(), fmt.Sprintf("h%d", i))
		all = append(all, task.Start(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // a schedule
			for range names * rounds {
				name := fmt.Sprintf("n/%d/%d", i, random.IntN(names))
				_, err := m.Hold(f.Context(), name)
				if random.IntN(3) == 0 {
					err = errors.Join(err, m.Release(f.Context(), name))
				}
				if err != nil {
					f.Error(err)
					return
				}
			}
		}))
		watchers = append(watchers, watch())
	}
	for _, w := range all {
		w.Wait()
	}
	watchers = append(watchers, watch())
	f.hold(f.join(r, "end"), "n/end")
	for range watchers {
		f.compare(r, <-views)
	}
	for _, w := range watchers {
		w.Wait()
	}
}

// behind has a watcher stand still while more happens than is kept for it. What it is told after that fits together all the same.
func (f *fleetTest) behind() {
	const rounds = 550
	r, other := f.open(), f.open()
	m := f.join(r, "a")
	seen, resume := make(chan struct{}), make(chan struct{})
	var view map[string]fleet.Entry
	var once sync.Once
	watch := task.Start(func() {
		view = f.watchSlowly(other, "n/", "n/end", func(c fleet.Change) {
			if c.Kind == fleet.Current {
				once.Do(func() { close(seen); <-resume })
			}
		})
	})
	<-seen
	for i := range rounds {
		name := fmt.Sprintf("n/%d", i%3)
		f.hold(m, name)
		if err := m.Release(f.Context(), name); err != nil {
			f.Error(err)
		}
	}
	f.hold(m, "n/a")
	f.hold(m, "n/end")
	close(resume)
	watch.Wait()
	if _, ok := view["n/a"]; !ok || len(view) != 2 {
		f.Errorf("a watcher that was behind has %v; want n/a and n/end", view)
	}
}

// compare wants a view to be what is there.
func (f *fleetTest) compare(r fleet.Registry, view map[string]fleet.Entry) {
	f.Helper()
	for name, e := range view {
		now, err := r.Find(f.Context(), name)
		if err != nil || now.Epoch != e.Epoch || now.Holder.Epoch != e.Holder.Epoch {
			f.Errorf("a watcher has %+v, and there is %+v, %v", e, now, err)
		}
	}
	there := f.watch(r, "n/", "n/end") // n/end may come first
	for name := range there {
		if _, ok := view[name]; !ok {
			f.Errorf("a watcher has not seen %s; it has %d names, and there are %d", name, len(view), len(there))
		}
	}
	if view != nil && len(view) == 0 {
		f.Errorf("a watcher has seen nothing of %v", slices.Sorted(maps.Keys(there)))
	}
}
