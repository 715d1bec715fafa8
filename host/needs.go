package host

import "slices"

// need is something that a child depends on: an actor with all of its replicas, of which there may
// be more or fewer later.
type need struct {
	group   int
	healthy bool // and not only up
}

// held reports whether others that are being ended need a child until they have ended, if only as the agent
// that runs them.
// Those that need it and are not being ended do not hold it: they stay up while it is
// restarted.
func (s *supervision) held(c *childState) bool {
	return slices.ContainsFunc(s.children, func(other *childState) bool {
		return other.decision != stays && (other.agent == c.id || slices.ContainsFunc(other.needs, func(n need) bool { return n.group == c.group }))
	})
}

// hasNeeds reports whether all that a child needs is ready, as far as it is not gone.
func (s *supervision) hasNeeds(c *childState) bool {
	return !slices.ContainsFunc(c.needs, func(n need) bool {
		return slices.ContainsFunc(s.children, func(needed *childState) bool {
			return needed.group == n.group && !needed.over && (!needed.isUp() || n.healthy && !needed.healthy)
		})
	})
}

// orphan ends those that have never been started and cannot be any more, and reports
// whether there were any: what they need is gone for good, or has lost a replica just now
// which it should have.
func (s *supervision) orphan() (some bool) {
	for _, c := range s.children {
		if c.fresh && !c.over && !c.hasProcess() && slices.ContainsFunc(c.needs, s.lacks) {
			c.over, some = true, true
		}
	}
	return some
}

// lacks reports whether a need cannot be met any more. That somebody wants fewer replicas
// is no reason, as long as one is left. It is asked in the step in which a child is over,
// after which nobody knows that child.
func (s *supervision) lacks(n need) bool {
	left := false
	for _, c := range s.children {
		switch {
		case c.group != n.group:
		case !c.over:
			left = true
		case !c.surplus && (!c.extra || !c.fresh): // one more that does not come up leaves as many as there were
			return true
		}
	}
	return !left
}
