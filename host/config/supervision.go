package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// validateSupervision checks what a supervisor, the tree itself or an actor, says of
// its own actors.
func (r *reader) validateSupervision(n *yaml.Node, s Supervision, actors []Actor, path string) {
	at := r.given(n, "supervision")
	if at == nil || len(at.Content) == 0 {
		return
	}
	path = join(path, "supervision")
	if len(actors) == 0 {
		if path != "supervision" && r.usable(n, "actors") { // a tree without actors has been reported
			r.report(at, path, "expected actors that this one supervises, it has none; supervision stands where the actors are listed")
		}
		return
	}
	r.atLeastOne(at, "max_restarts", s.MaxRestarts, path, "to never restart an actor, give it restart: temporary")
	if r.mayRestart(child(n, "actors"), actors) {
		return
	}
	for _, key := range []string{"strategy", "max_restarts", "window"} {
		value := r.given(at, key)
		if value == nil || key == "strategy" && !s.Strategy.restartsOthers() || r.overruled(value, restartKinds(n)...) {
			continue
		}
		r.report(value, join(path, key), "none of the actors here is ever restarted; give those restart: transient or "+
			"permanent that shall be (temporary is the default), or remove this")
	}
}

// restartsOthers tells that a strategy is only about restarts.
func (s Strategy) restartsOthers() bool { return s == OneForAll || s == RestForOne }

// mayRestart tells if one of the actors is restarted ever, or may be meant to.
func (r *reader) mayRestart(list *yaml.Node, actors []Actor) bool {
	for i, a := range actors {
		if a.restarts() || r.refused[list.Content[i]] || !r.usable(list.Content[i], "restart") {
			return true
		}
	}
	return false
}

func (a Actor) restarts() bool { return a.Restart == Transient || a.Restart == Permanent }

// restartKinds are the values of restart in a supervisor's list of actors.
func restartKinds(supervisor *yaml.Node) []*yaml.Node {
	var kinds []*yaml.Node
	for _, item := range child(supervisor, "actors").Content {
		kinds = append(kinds, child(item, "restart"))
	}
	return kinds
}

// overruled tells that the command line switched off what a value of the file is
// for. The file is right without it, and nobody should have to change two things to
// switch off one.
func (r *reader) overruled(value *yaml.Node, by ...*yaml.Node) bool {
	_, own := r.origin[value]
	return !own && slices.ContainsFunc(by, func(n *yaml.Node) bool {
		_, elsewhere := r.origin[n]
		return elsewhere
	})
}

func (r *reader) validateRestart(n *yaml.Node, a Actor, path string) {
	if backoff := r.given(n, "backoff"); backoff != nil {
		d := withDefaults(a.Backoff)
		r.inOrder(backoff, join(path, "backoff"), "initial", d.Initial, "max", d.Max)
	}
	if a.restarts() || !r.usable(n, "restart") {
		return
	}
	kind := "restart: temporary"
	if child(n, "restart") == nil {
		kind += ", the default,"
	}
	for _, key := range []string{"backoff", "while_down"} {
		at := r.given(n, key)
		if at == nil || at.Kind == yaml.MappingNode && len(at.Content) == 0 || r.overruled(at, child(n, "restart")) {
			continue
		}
		r.report(at, join(path, key), "an actor with %s is never restarted; write restart: transient or permanent, or remove this", kind)
	}
}

func (r *reader) validateHealth(n *yaml.Node, a Actor, path string) {
	at := r.given(n, "health")
	if at == nil {
		return
	}
	path = join(path, "health")
	if off := child(at, "off"); a.Health.Off {
		if keys := r.besideOff(at, off); len(keys) > 0 {
			r.report(off, join(path, "off"), "checks that are off have no %s; remove off, or the rest", strings.Join(keys, ", "))
		}
		return
	}
	r.atLeastOne(at, "failures", a.Health.Failures, path, "to switch the checks off, write off: true")
	d := withDefaults(a.Health)
	r.inOrder(at, path, "timeout", d.Timeout, "interval", d.Interval)
	if endpoint := r.given(at, "endpoint"); endpoint != nil && a.Health.Endpoint == "" {
		r.report(endpoint, join(path, "endpoint"), "expected the name of a func that the plugin serves, it is empty")
	}
}

// besideOff are the keys of health that stand beside off: true.
func (r *reader) besideOff(health, off *yaml.Node) []string {
	var keys []string
	for i := 0; i+1 < len(health.Content); i += 2 {
		if key, value := health.Content[i], health.Content[i+1]; value != off && !r.overruled(value, off) {
			keys = append(keys, key.Value)
		}
	}
	return keys
}

// atLeastOne reports a number below 1. instead says what to do for none.
func (r *reader) atLeastOne(n *yaml.Node, key string, number int, path, instead string) {
	if at := r.given(n, key); at != nil && number < 1 {
		r.report(at, join(path, key), "expected a whole number of at least 1, got %q; %s", at.Value, instead)
	}
}

// inOrder reports two durations of a mapping of which the smaller one is larger.
// One that is left out has its default.
func (r *reader) inOrder(n *yaml.Node, path, small string, least Duration, large string, most Duration) {
	if least <= most || !r.usable(n, small) || !r.usable(n, large) {
		return
	}
	smallAt, largeAt := child(n, small), child(n, large)
	switch {
	case smallAt == nil:
		r.report(largeAt, join(path, large), "expected at least %s (%s, the default), got %q", small, least, largeAt.Value)
	case largeAt == nil:
		r.report(smallAt, join(path, small), "expected at most %s (%s, the default), got %q", large, most, smallAt.Value)
	default:
		r.report(smallAt, join(path, small), "expected at most %s (%s), got %q", large, largeAt.Value, smallAt.Value)
	}
}
