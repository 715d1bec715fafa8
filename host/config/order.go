package config

import (
	"maps"
	"slices"
)

// Levels sorts siblings into groups: those of a group depend only on earlier
// groups. It is for actors that Check has found nothing wrong with. Within a group they keep
// the order of the file. A supervisor with rest_for_one goes by the order in which actors
// started, so that must not depend on how a map is walked.
func Levels(actors []Actor) [][]Actor {
	level, _ := order(actors)
	var levels [][]Actor
	for _, a := range actors {
		n := level[a.Name]
		for len(levels) <= n {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], a)
	}
	return levels
}

// order goes through siblings depth first, each of them once. It gives every name its level,
// which is above those of all that it depends on, or else returns the names of one cycle of
// depends_on, the first one repeated at the end.
//
// A name that nobody has gets a level like an actor that depends on nothing; that it is unknown
// is reported elsewhere. An actor that depends on itself is a cycle of one.
func order(actors []Actor) (level map[string]int, cycle []string) {
	byName := index(actors)
	level = map[string]int{} // while a name is in path: its position there, counted from -1 down
	var path []string
	var visit func(name string)
	visit = func(name string) {
		if n, seen := level[name]; seen {
			if n < 0 && cycle == nil {
				cycle = append(slices.Clone(path[-n-1:]), name)
			}
			return
		}
		path = append(path, name)
		level[name] = -len(path)
		n := 0
		for _, needed := range sortedKeys(byName[name].DependsOn) {
			visit(needed)
			n = max(n, level[needed]+1)
		}
		path = path[:len(path)-1]
		level[name] = n
	}
	for _, a := range actors {
		visit(a.Name)
	}
	return level, cycle
}

// index finds actors by name. Of several with the same name, which is a problem that is reported
// elsewhere, the last one counts.
func index(actors []Actor) map[string]Actor {
	byName := make(map[string]Actor, len(actors))
	for _, a := range actors {
		byName[a.Name] = a
	}
	return byName
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
