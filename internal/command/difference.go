package command

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/treepath"
)

// plan is the document of host plan and host apply: how a file differs from what runs, as host.Tree has found it.
type plan struct {
	Version int      `json:"version"`
	Changes []change `json:"changes"`
	// Later are settings of the host itself that differ from those it was started with. Its next start takes them, and not apply.
	Later []setting `json:"later,omitempty"`
}

// change is a difference, of an actor or of how a host supervises.
type change struct {
	Actor  string `json:"actor"`  // its path, for all of its replicas; of a host that supervises, "" for the root
	Action string `json:"action"` // add, remove, scale, restart, supervise or ask, as host.Change has it
	// From and To are numbers of replicas, of what is added, scaled or removed.
	From *int `json:"from,omitempty"`
	To   *int `json:"to,omitempty"`
	// Settings are those that differ. An actor that is restarted without any has another program,
	// or is restarted as another one is, by the strategy of its supervisor (With).
	Settings []setting `json:"settings,omitempty"`
	Program  bool      `json:"program,omitempty"`
	With     bool      `json:"with,omitempty"`
	Error    string    `json:"error,omitempty"` // why it could not be done
}

// setting is one that differs. From or To is "" where a file does not have it.
type setting struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// trees are what a file says, with absolute paths, and the same as it is shown, with variables instead of their
// values.
type trees struct{ are, shown config.Tree }

// texts are settings: as they are, and as a file that is shown has them.
type texts struct {
	are         map[string]string
	said, shown map[string]string
}

// settings are those of an actor, or of a supervisor, that a host has told of, with what the file shows of them.
func (t *trees) settings(path string, are *config.Actor) texts {
	all := texts{are: flatActor(*are)}
	said, shown := t.find(path)
	if said != nil && shown != nil {
		all.said, all.shown = flatActor(said.WithDefaults()), flatActor(shown.WithDefaults())
	}
	return all
}

// fleet is what a file says of other machines.
func (t *trees) fleet() texts {
	said, shown := flat(config.Tree{Fleet: t.are.Fleet}), flat(config.Tree{Fleet: t.shown.Fleet})
	return texts{said, said, shown}
}

// find is the actor at a path, or the root as if it were one; nil if the file has no such actor.
func (t *trees) find(path string) (said, shown *config.Actor) {
	said = &config.Actor{Actors: t.are.Actors, Supervision: t.are.Supervision}
	shown = &config.Actor{Actors: t.shown.Actors, Supervision: t.shown.Supervision}
	if path == "" {
		return said, shown
	}
	for name := range strings.SplitSeq(path, "/") {
		name = treepath.Name(name)
		i := slices.IndexFunc(said.Actors, func(a config.Actor) bool { return a.Name == name })
		if i < 0 || i >= len(shown.Actors) {
			return nil, nil
		}
		said, shown = &said.Actors[i], &shown.Actors[i]
	}
	return said, shown
}

// show is a setting for people: as the file has it that it comes from, or else hidden.
func (t *texts) show(key string) string {
	value := t.are[key]
	if shown := t.shown[key]; shown != "" && value == t.said[key] {
		return shown
	}
	return hidden(value)
}

// shownPlan is what a host has found or done, from a file that it had to the one that is wanted, without what nobody
// is to see. It was started with the first one.
func shownPlan(first, have, want *trees, changes []host.Change) *plan {
	p := &plan{Version: document.Version, Changes: []change{}, Later: differing(first.fleet(), want.fleet())}
	for _, c := range changes {
		out := change{Actor: c.Path, Action: c.Do}
		switch {
		case c.Do == route.ChangeAdd:
			replicas := 1
			if said, _ := want.find(c.Path); said != nil {
				replicas = max(1, said.Replicas)
			}
			out.From, out.To = new(int), &replicas
		case c.Do == route.ChangeRemove:
			out.From, out.To = &c.Running, new(int)
		case c.Do == route.ChangeScale:
			out.From, out.To = &c.Running, &c.Want.Replicas
		case c.Have != nil:
			out.Settings = differing(have.settings(c.Path, c.Have), want.settings(c.Path, c.Want))
			out.Program = len(out.Settings) == 0
		case c.Do == route.ChangeRestart:
			out.With = true
		}
		if c.Err != nil {
			out.Error = c.Err.Error()
		}
		p.Changes = append(p.Changes, out)
	}
	return p
}

// secret are the settings whose values are not shown.
var secret = regexp.MustCompile(`(^|\.)env\..+$`)

// differing are the settings that are not the same in two of them.
func differing(have, want texts) (settings []setting) {
	all := maps.Clone(have.are)
	maps.Copy(all, want.are)
	for _, key := range sortedKeys(all) {
		before, after := have.are[key], want.are[key]
		if before == after {
			continue
		}
		from, to := have.show(key), want.show(key)
		if secret.MatchString(key) || from == to {
			from, to = hidden(before), hidden(after)
		}
		settings = append(settings, setting{key, from, to})
	}
	return settings
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return "(not shown)"
}

// anActor stands for an actor as a whole.
const anActor = "an actor"

// flatActor is an actor's own settings. That it hosts others is one of them, and what these are is not.
func flatActor(a config.Actor) map[string]string {
	hosts := len(a.Actors) > 0
	a.Name, a.Replicas, a.Actors = "", 0, nil
	all := flat(a)
	if hosts {
		all["actors"] = "some"
	}
	return all
}

// flat is a struct of package config as texts, by the way to each as --set has it: actors are named. What is
// not given is not there.
func flat(v any) map[string]string {
	found := map[string]string{}
	flatten(found, "", reflect.ValueOf(v))
	return found
}

func flatten(found map[string]string, at string, v reflect.Value) {
	below := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	switch _, isText := reflect.TypeAssert[fmt.Stringer](v); {
	case v.IsZero() && v.Kind() != reflect.Bool:
	case v.Kind() == reflect.Pointer:
		flatten(found, at, v.Elem())
	case isText:
		found[at] = fmt.Sprint(v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if key := v.Type().Field(i).Tag.Get("yaml"); key != "-" {
				flatten(found, below(key), v.Field(i))
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		flattenNamed(found, below, v)
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			flatten(found, below(key.String()), v.MapIndex(key))
		}
	case v.Kind() == reflect.Slice:
		found[at] = fmt.Sprintf("%q", v)
	default:
		found[at] = fmt.Sprint(v)
	}
}

// flattenNamed does so for structs with names, by which they are found below.
func flattenNamed(found map[string]string, below func(name string) string, all reflect.Value) {
	for i := range all.Len() {
		name := below(all.Index(i).FieldByName("Name").String())
		if all.Type() == reflect.TypeFor[[]config.Actor]() {
			found[name] = anActor
		}
		flatten(found, name, all.Index(i))
	}
}

// failed is how many changes could not be done.
func (p *plan) failed() (n int) {
	for _, c := range p.Changes {
		if c.Error != "" {
			n++
		}
	}
	return n
}

// String is the plan for people: a line for each change, and what differs below it.
func (p *plan) String() string {
	if len(p.Changes) == 0 && len(p.Later) == 0 {
		return "no difference\n"
	}
	var out strings.Builder
	list := func(settings []setting) {
		for _, s := range settings {
			fmt.Fprintf(&out, "    %s: %s, in the file %s\n", s.Key, orNone(s.From), orNone(s.To))
		}
	}
	if len(p.Later) > 0 {
		fmt.Fprintln(&out, "> the host: other settings from its next start on")
		list(p.Later)
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&out, "%s\n", c.line())
		list(c.Settings)
		if c.Error != "" {
			fmt.Fprintf(&out, "    failed: %s\n", terminal.Line(c.Error))
		}
	}
	return out.String()
}

func (c *change) line() string {
	who := cmp.Or(c.Actor, "the tree")
	switch c.Action {
	case route.ChangeAdd:
		return fmt.Sprintf("+ %s: new, %s", who, plural(*c.To, "replica"))
	case route.ChangeRemove:
		return fmt.Sprintf("- %s: not in the file, %s running", who, plural(*c.From, "replica"))
	case route.ChangeScale:
		return fmt.Sprintf("~ %s: %s running, %d in the file", who, plural(*c.From, "replica"), *c.To)
	case route.ChangeSupervise:
		return fmt.Sprintf("~ %s: supervises its actors in another way", who)
	case route.ChangeAsk:
		return fmt.Sprintf("? %s: what it hosts is not known", who)
	}
	switch {
	case c.With:
		return fmt.Sprintf("! %s: restarts with the others, as the strategy of its supervisor has it", who)
	case c.Program:
		return fmt.Sprintf("! %s: restarts with another program", who)
	}
	return fmt.Sprintf("! %s: restarts with other settings", who)
}
