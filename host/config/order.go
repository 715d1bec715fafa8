package config

import (
	"maps"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Levels sorts siblings into groups: those of a group depend only on earlier
// groups. It is for actors that Check has found nothing wrong with.
func Levels(actors []Actor) [][]Actor {
	byName := index(actors)
	level := map[string]int{}
	var depth func(name string) int
	depth = func(name string) int {
		if n, done := level[name]; done {
			return n
		}
		n := 0
		for needed := range byName[name].DependsOn {
			n = max(n, depth(needed)+1)
		}
		level[name] = n
		return n
	}
	var levels [][]Actor
	for _, a := range actors {
		n := depth(a.Name)
		for len(levels) <= n {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], a)
	}
	return levels
}

// findCycle returns the names of one cycle of depends_on, the first one repeated
// at the end; nil if there is none.
func findCycle(actors []Actor) []string {
	byName := index(actors)
	at := map[string]int{} // in path, from 1; -1 once it is known to be fine
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := at[name]; i != 0 {
			if i < 0 {
				return nil
			}
			return append(slices.Clone(path[i-1:]), name)
		}
		path = append(path, name)
		at[name] = len(path)
		for _, needed := range sortedKeys(byName[name].DependsOn) {
			if cycle := visit(needed); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		at[name] = -1
		return nil
	}
	for _, a := range actors {
		if cycle := visit(a.Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

func arrows(cycle []string) string {
	last := len(cycle) - 1
	return words.List(cycle[:last], " → ") + " → " + cycle[last]
}

func index(actors []Actor) map[string]Actor {
	byName := make(map[string]Actor, len(actors))
	for _, a := range actors {
		byName[a.Name] = a
	}
	return byName
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
