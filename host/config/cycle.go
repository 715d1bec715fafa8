package config

import (
	"slices"
	"strings"
)

// findCycle returns the names of one cycle of depends_on, the first one repeated
// at the end; nil if there is none.
func findCycle(actors []Actor) []string {
	byName := index(actors)
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		defer func() { path = path[:len(path)-1] }()
		for _, needed := range sortedKeys(byName[name].DependsOn) {
			if cycle := visit(needed); cycle != nil {
				return cycle
			}
		}
		done[name] = true
		return nil
	}
	for _, a := range actors {
		if cycle := visit(a.Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

func arrows(names []string) string { return strings.Join(names, " → ") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
