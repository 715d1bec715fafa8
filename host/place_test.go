package host

import (
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host/config"
)

// D22: where an actor runs.
func TestD22_Place(t *testing.T) {
	agent := func(name string, ofName, total int) candidate {
		return candidate{agentInfo: agentInfo{Host: name}, ofName: ofName, total: total}
	}
	with := func(c candidate, change func(*candidate)) candidate {
		change(&c)
		return c
	}
	label := func(k, v string) func(*candidate) {
		return func(c *candidate) { c.Labels = map[string]string{k: v} }
	}
	for name, test := range map[string]struct {
		on     config.On
		agents []candidate
		want   int
		why    string // reasons, joined
	}{
		"nobody":                   {want: -1},
		"the first by name":        {agents: []candidate{agent("c", 0, 0), agent("b", 0, 0)}, want: 1},
		"the fewest of the actor":  {agents: []candidate{agent("b", 1, 1), agent("c", 0, 9)}, want: 1},
		"then the fewest":          {agents: []candidate{agent("b", 1, 3), agent("c", 1, 2)}, want: 1},
		"a host":                   {on: config.On{Host: "b"}, agents: []candidate{agent("a", 0, 0), agent("b", 7, 7)}, want: 1, why: `"a" is another host than "b"`},
		"a host that is not there": {on: config.On{Host: "b"}, agents: []candidate{agent("a", 0, 0)}, want: -1, why: `"a" is another host than "b"`},
		"a label": {
			on: config.On{Labels: map[string]string{"disk": "ssd"}}, want: 2, why: `"a" has no label "disk"; "b" has disk="hdd", expected "ssd"`,
			agents: []candidate{agent("a", 0, 0), with(agent("b", 0, 0), label("disk", "hdd")), with(agent("c", 3, 3), label("disk", "ssd"))},
		},
		"full": {
			agents: []candidate{with(agent("a", 0, 2), func(c *candidate) { c.Capacity = 2 }), with(agent("b", 1, 2), func(c *candidate) { c.Capacity = 3 })},
			want:   1, why: `"a" is full: it runs 2 of 2`,
		},
		"draining": {agents: []candidate{with(agent("a", 0, 0), func(c *candidate) { c.Draining = true })}, want: -1, why: `"a" is draining`},
		"silent":   {agents: []candidate{with(agent("a", 0, 0), func(c *candidate) { c.silent = true })}, want: -1, why: `"a" does not answer`},
	} {
		if got, why := place(&test.on, test.agents); got != test.want || strings.Join(why, "; ") != test.why {
			t.Errorf("D22: %s: %d, %q", name, got, why)
		}
	}
}
