package config

import "github.com/seed-2ba35074/trellis/internal/words"

// On says where an actor runs: by which agent (host.Agent). Without a host and without labels any
// agent may run it. Each start chooses anew, the one with the fewest processes of the actor, and
// of those the one with the fewest of all.
type On struct {
	Host   string            `yaml:"host" json:"host,omitempty"`     // the name of the agent
	Labels map[string]string `yaml:"labels" json:"labels,omitempty"` // all of which the agent must have
}

// on checks where an actor is to run, and that what it hosts is to run beside it.
func (c *checker) on(a Actor, at *place) {
	for i, hosted := range a.Actors {
		c.noteIf(hosted.On != nil, at.key("actors").item(i, hosted.Name).key("on"), "only the tree's own actors run on other machines; what %s hosts runs beside it", words.Quote(a.Name))
	}
	if a.On == nil {
		return
	}
	key := at.key("on")
	switch {
	case a.GoPlugin != nil:
		c.note(key, "a foreign program (goplugin) runs where its host does; remove this, or make a plugin that hosts it and runs there")
	case a.MCP != nil:
		c.note(key, "an MCP server runs where its host does; remove this")
	case a.On.Host != "" && len(a.On.Labels) > 0:
		c.note(key, "expected either host or labels, there are both")
	}
	_, nameless := a.On.Labels[""]
	c.noteIf(nameless, key.key("labels"), "expected the name of a label, it is empty")
}
