//go:build linux

package main

import (
	"maps"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// place is one actor of the tree. Names are unique in it.
type place struct {
	name, parent string
}

// root is the actor that hosts all others. It is not a child of anybody.
const root = "root"

// cliff is the actor whose supervisor gives up early: its children are struck only
// to make it do so.
const cliff = "cliff"

// cliffRestarts is how many restarts cliff has.
const cliffRestarts = 2

// tree is the tree under load, parents first: 15 actors on three levels.
var tree = []place{
	{root, ""},
	{"north", root}, {"south", root}, {"east", root}, {cliff, root},
	{"north-1", "north"}, {"north-2", "north"}, {"north-3", "north"},
	{"south-1", "south"}, {"south-2", "south"}, {"south-3", "south"},
	{"east-1", "east"}, {"east-2", "east"},
	{"cliff-1", cliff}, {"cliff-2", cliff},
}

// strategies of those that host others; one_for_one where nothing is said.
var strategies = map[string]config.Strategy{"south": config.RestForOne, "east": config.OneForAll}

// parentOf is the actor that hosts another one, "" for the root.
func parentOf(name string) string {
	i := slices.IndexFunc(tree, func(p place) bool { return p.name == name })
	if i < 0 {
		return ""
	}
	return tree[i].parent
}

// childrenOf are the actors that an actor hosts, in the order of their starts.
func childrenOf(name string) (names []string) {
	for _, p := range tree {
		if p.parent == name {
			names = append(names, p.name)
		}
	}
	return names
}

// below is an actor and all that live and die with it.
func below(name string) []string {
	names := []string{name}
	for _, child := range childrenOf(name) {
		names = append(names, below(child)...)
	}
	return names
}

// hosts are the actors that have children.
func hosts() (names []string) {
	for _, p := range tree {
		if len(childrenOf(p.name)) > 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// leaves are the actors that have none, without those of cliff.
func leaves() (names []string) {
	for _, p := range tree {
		if len(childrenOf(p.name)) == 0 && p.parent != cliff {
			names = append(names, p.name)
		}
	}
	return names
}

// condemned are the siblings that the strategy of an actor's parent ends with it.
func condemned(name string) (names []string) {
	siblings := childrenOf(parentOf(name))
	switch strategies[parentOf(name)] {
	case config.OneForAll:
		names = slices.DeleteFunc(slices.Clone(siblings), func(s string) bool { return s == name })
	case config.RestForOne:
		names = siblings[slices.Index(siblings, name)+1:]
	}
	return names
}

// Times of the tree: short, so that a run meets each many times; but no actor is to
// fail three health checks in a row for want of a CPU.
const (
	healthInterval = 100 * time.Millisecond
	healthTimeout  = slowdown * 500 * time.Millisecond
	healthFailures = 3
	pauseBetween   = 10 * time.Millisecond // before the first restart
	pauseMost      = 40 * time.Millisecond
	grace          = time.Second
	termTimeout    = 100 * time.Millisecond
)

// supervisionOf is how an actor deals with its children's ends.
func supervisionOf(name string) config.Supervision {
	s := config.Supervision{Strategy: strategies[name], MaxRestarts: 1 << 30, Window: config.Duration(time.Second)}
	if s.Strategy == "" {
		s.Strategy = config.OneForOne
	}
	if name == cliff {
		s.MaxRestarts, s.Window = cliffRestarts, config.Duration(time.Hour)
	}
	return s
}

// specsBelow are the children of an actor as the host is given them.
func specsBelow(name, program string, env map[string]string) (specs []host.Spec) {
	for _, child := range childrenOf(name) {
		specs = append(specs, specOf(child, program, env))
	}
	return specs
}

func specOf(name, program string, env map[string]string) host.Spec {
	own := map[string]string{roleVar: rolePlugin, nameVar: name}
	maps.Copy(own, env)
	spec := host.Spec{
		Name: name, Command: []string{program}, Env: own, Restart: config.Permanent,
		Backoff: config.Backoff{Initial: config.Duration(pauseBetween), Max: config.Duration(pauseMost)},
		Health: config.Health{
			Interval: config.Duration(healthInterval), Timeout: config.Duration(healthTimeout), Failures: healthFailures,
		},
		Grace: config.Duration(grace), TermTimeout: config.Duration(termTimeout),
		Actors: specsBelow(name, program, env),
	}
	if len(spec.Actors) > 0 {
		spec.Supervision = supervisionOf(name)
	}
	return spec
}
