package config

// Settings about restarts where nobody has said restart are refused, and not only without
// an effect: whoever wrote them believes that somebody is restarted. Where every actor
// that they are about says restart: temporary they are fine, and where the command line says
// so of one: that switches restarts off, and what the file says of them may stay.

// supervision checks what a supervisor says of its own actors; at is the supervisor,
// nil for the tree itself.
func (c *checker) supervision(s Supervision, actors []Actor, at *place) {
	here, list := at.key("supervision"), at.key("actors")
	if s == (Supervision{}) {
		return
	}
	c.noteIf(len(actors) == 0 && c.read(list), here, "expected actors that this one supervises, it has none; supervision stands where the actors are listed")
	switchedOff := 0
	for i, a := range actors {
		where, ok := c.find(list.item(i, a.Name).key("restart"))
		fromOption := where.File != "" && where.Line == 0
		switch {
		case !ok, a.Restart != "" && (a.Restart != Temporary || fromOption):
			return
		case a.Restart == Temporary:
			switchedOff++
		}
	}
	if switchedOff < len(actors) {
		const message = "none of the actors here is ever restarted; give those restart: transient or permanent that are to be " +
			"(temporary is the default), or remove this"
		c.noteIf(s.MaxRestarts != 0, here.key("max_restarts"), message)
		c.noteIf(s.Strategy == OneForAll || s.Strategy == RestForOne, here.key("strategy"), message)
		c.noteIf(s.Window != 0, here.key("window"), message)
	}
}

// restart checks what an actor says of its own restarts.
func (c *checker) restart(a Actor, at *place) {
	if a.Restart == "" && c.read(at.key("restart")) {
		const message = "an actor with restart: temporary, the default, is never restarted; write restart: transient or permanent, or remove this"
		c.noteIf(a.Backoff != Backoff{}, at.key("backoff"), message)
		c.noteIf(a.WhileDown == WaitWhileDown || a.WhileDown == FailWhileDown, at.key("while_down"), message)
	}
	initial, most := at.key("backoff").key("initial"), at.key("backoff").key("max")
	s, used := a.Backoff, withDefaults(a.Backoff)
	switch {
	case used.Initial <= used.Max || s.Initial < 0 || s.Max < 0 || !c.read(initial, most):
	case s.Initial == 0:
		c.note(most, "expected at least initial (%v, the default), got %v", used.Initial, used.Max)
	case s.Max == 0:
		c.note(initial, "expected at most max (%v, the default), got %v", used.Max, used.Initial)
	default:
		c.note(initial, "expected at most max (%v), got %v", used.Max, used.Initial)
	}
}

// standby refuses spares that nobody would ever take: the processes of a tree are all started at
// its beginning, and after that a restart is the only start. What a program starts by itself is not
// asked, since it may start another one.
func (c *checker) standby(a Actor, at *place) {
	c.noteIf(a.Standby > 0 && a.Restart == "" && c.read(at.key("restart")), at.key("standby"),
		"an actor with restart: temporary, the default, is started once and takes no spare; write restart: transient or permanent, or remove this")
}
