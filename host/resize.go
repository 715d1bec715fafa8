package host

import (
	"cmp"
	"slices"
)

// What people change in a supervisor's table while it runs: how many replicas there are,
// and which program and which settings the next process of a child has.

// scale ends replicas of a group for good, those with the highest numbers, so that n are
// left, and gives how many are missing, for whoever owns the table to add. One counts while
// it is there or comes back, whatever its process does at the moment.
func (s *supervision) scale(group, n int) (missing int, _ []action) {
	all := s.replicas(group)
	for _, c := range all[min(n, len(all)):] {
		c.surplus = true
		s.endForGood(c)
	}
	return max(0, n-len(all)), s.settle()
}

// replicas are those of a group that are there or come back, by number.
func (s *supervision) replicas(group int) (all []*childState) {
	for _, c := range s.children {
		if c.group == group && c.remains() {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *childState) int { return cmp.Compare(a.number, b.number) })
	return all
}

// remains reports whether a child goes on, be it with another process.
func (c *childState) remains() bool { return c.decision == stays || c.comesBack }

// replace has children go on with processes that are others than before, and what the
// strategy ends with them end, and start again, too. The pauses of the changed ones are
// over, as they are after another program.
func (s *supervision) replace(ids []int) []action {
	for _, c := range s.withOthers(ids) {
		if slices.Contains(ids, c.id) {
			c.changed, c.paused, c.unstable = true, false, 0
		}
		s.condemn(c, true)
	}
	return s.settle()
}

// withOthers are those children, and those that the strategy ends with them, but for such
// as have not been up yet.
func (s *supervision) withOthers(ids []int) (all []*childState) {
	for _, c := range s.children {
		with := func(id int) bool { return id == c.id || !c.fresh && s.together(s.child(id), c) }
		if c.remains() && slices.ContainsFunc(ids, with) {
			all = append(all, c)
		}
	}
	return all
}
