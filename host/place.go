package host

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// candidate is an agent that may run an actor.
type candidate struct {
	agentInfo
	ofName  int // processes of the actor that it runs
	total   int // processes that it runs for this tree
	silent  bool
	refuses bool
}

// place chooses the agent on which a process of an actor starts: a pure function. It gives the place of the
// chosen one in the list, -1 if none fits, and why each of those does not that cannot be chosen.
func place(on *config.On, candidates []candidate) (chosen int, reasons []string) {
	chosen = -1
	for i, c := range candidates {
		if why := unfit(on, c); why != "" {
			reasons = append(reasons, words.Quote(c.Host)+" "+why)
			continue
		}
		if chosen < 0 || lighter(c, candidates[chosen]) {
			chosen = i
		}
	}
	return chosen, reasons
}

// lighter is whether a is rather to be chosen than b: it has fewer processes of the actor, or as many and fewer
// of all, or its name comes first.
func lighter(a, b candidate) bool {
	return cmp.Or(cmp.Compare(a.ofName, b.ofName), cmp.Compare(a.total, b.total), strings.Compare(a.Host, b.Host)) < 0
}

// unfit is why an agent cannot be chosen; "" if it can.
func unfit(on *config.On, c candidate) string {
	if on.Host != "" && on.Host != c.Host {
		return "is another host than " + words.Quote(on.Host)
	}
	for _, label := range slices.Sorted(maps.Keys(on.Labels)) {
		want := on.Labels[label]
		switch have, there := c.Labels[label]; {
		case !there:
			return "has no label " + words.Quote(label)
		case have != want:
			return fmt.Sprintf("has %s=%s, expected %s", words.Cut(label), words.Quote(have), words.Quote(want))
		}
	}
	switch {
	case c.refuses:
		return "has had no room for it just now"
	case c.silent:
		return "does not answer"
	case c.Draining:
		return "is draining"
	case c.Capacity > 0 && c.total >= c.Capacity:
		return fmt.Sprintf("is full: it runs %d of %d", c.total, c.Capacity)
	}
	return ""
}

// noPlace is why an actor has no place to run on.
func noPlace(reasons []string) string {
	if len(reasons) == 0 {
		return "no agent has joined this host; start one on another machine: host agent"
	}
	return "no agent can run it: " + words.List(reasons, "; ")
}
