package config

import "fmt"

// supervision checks what a supervisor says of its own actors; at is the supervisor,
// nil for the tree itself.
func (c *checker) supervision(s Supervision, actors []Actor, at *place) {
	if s == (Supervision{}) {
		return
	}
	here, list := at.key("supervision"), at.key("actors")
	if len(actors) == 0 {
		c.note(here, "expected actors that this one supervises, it has none; supervision stands where the actors are listed").because(list)
		return
	}
	var kinds []*place
	for i, a := range actors {
		if a.Restart != "" && a.Restart != Temporary {
			return // one at least is restarted, or may be meant to
		}
		kinds = append(kinds, list.item(i, a.Name).key("restart"))
	}
	c.idle(here, kinds, "none of the actors here is ever restarted; give those restart: transient or permanent "+
		"that shall be (temporary is the default), or remove this",
		setting{"strategy", s.Strategy == OneForAll || s.Strategy == RestForOne},
		setting{"max_restarts", s.MaxRestarts != 0}, setting{"window", s.Window != 0})
}

// setting is a key that may have been given.
type setting struct {
	key   string
	given bool
}

// idle notes settings that have no effect, because of others.
func (c *checker) idle(at *place, because []*place, message string, settings ...setting) {
	for _, s := range settings {
		if s.given {
			c.note(at.key(s.key), "%s", message).because(because...).idle("")
		}
	}
}

func (c *checker) restart(a Actor, at *place) {
	d := withDefaults(a.Backoff)
	c.inOrder(at.key("backoff"), duration{"initial", a.Backoff.Initial, d.Initial}, duration{"max", a.Backoff.Max, d.Max})
	if a.Restart != "" && a.Restart != Temporary {
		return
	}
	kind := "restart: temporary"
	if a.Restart == "" {
		kind += ", the default,"
	}
	c.idle(at, []*place{at.key("restart")}, "an actor with "+kind+" is never restarted; write restart: transient or permanent, or remove this",
		setting{"backoff", a.Backoff != Backoff{}}, setting{"while_down", a.WhileDown == WaitWhileDown || a.WhileDown == FailWhileDown})
}

func (c *checker) health(h Health, at *place) {
	if !h.Off {
		return
	}
	c.idle(at, []*place{at.key("off")}, "the checks are off; remove off: true, or this",
		setting{"interval", h.Interval != 0}, setting{"timeout", h.Timeout != 0},
		setting{"failures", h.Failures != 0}, setting{"endpoint", h.Endpoint != ""})
}

// duration is one that may have been left to its default.
type duration struct {
	key        string
	given, use Duration
}

func (d duration) String() string {
	if d.given == 0 {
		return fmt.Sprintf("%s (%v, the default)", d.key, d.use)
	}
	return fmt.Sprintf("%s (%v)", d.key, d.use)
}

// inOrder notes two durations of which the smaller one is larger, at the one that was
// given.
func (c *checker) inOrder(at *place, small, large duration) {
	switch {
	case small.use <= large.use || small.given < 0 || large.given < 0:
	case small.given == 0:
		c.note(at.key(large.key), "expected at least %v, got %v", small, large.use).because(at.key(small.key))
	default:
		c.note(at.key(small.key), "expected at most %v, got %v", large, small.use).because(at.key(large.key))
	}
}
