package main

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/document"
)

// plan is the document of host plan: how a file differs from what runs.
type plan struct {
	Version int      `json:"version"`
	Changes []change `json:"changes"`
}

// change is what differs of one of the host's own actors, or, without an actor, of how the host supervises them.
type change struct {
	Actor  string `json:"actor"`
	Action string `json:"action"` // add, remove, scale or change
	// From and To are numbers of replicas, of what is scaled or removed.
	From     *int      `json:"from,omitempty"`
	To       *int      `json:"to,omitempty"`
	Settings []setting `json:"settings,omitempty"`
}

// setting is one that differs. From or To is "" where a file does not have it.
type setting struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// The actions. The first two a host does while it runs.
const (
	scaleAction  = "scale"
	removeAction = "remove"
	addAction    = "add"
	changeAction = "change"
)

// trees are what a file says, and the same as it is shown, with variables instead of their values.
type trees struct{ are, shown config.Tree }

// texts are the settings of an actor, or of a supervision: as they are, and as they are shown.
type texts struct{ are, shown map[string]string }

// actors are the settings of all actors but their numbers of replicas, and these.
func (t *trees) actors() (all map[string]texts, replicas map[string]int) {
	all, replicas = map[string]texts{}, map[string]int{}
	for i, a := range t.are.Actors {
		a = complete(a)
		replicas[a.Name], a.Replicas = a.Replicas, 1
		all[a.Name] = texts{are: flat(a)}
		if i < len(t.shown.Actors) {
			all[a.Name] = texts{flat(a), flat(complete(t.shown.Actors[i]))}
		}
	}
	return all, replicas
}

// show is a setting for people. One with a name that only a variable tells is not among those that are shown.
func (t *texts) show(key string) string {
	if shown, known := t.shown[key]; known && t.are[key] != "" {
		return shown
	}
	return hidden(t.are[key])
}

// difference compares the tree that a host was started with, of whose actors so many replicas are running, with
// another one. What an actor hosts itself is a part of it.
func difference(have, want *trees, running func(name string) int) *plan {
	p := &plan{Version: document.Version, Changes: []change{}}
	supervision := func(t *trees) texts {
		all := flat(t.are.Supervision.WithDefaults())
		return texts{all, all} // there is no text in it but known words
	}
	if settings := differing(supervision(have), supervision(want)); len(settings) > 0 {
		p.Changes = append(p.Changes, change{Action: changeAction, Settings: settings})
	}
	known, _ := have.actors()
	wanted, replicas := want.actors()
	for _, a := range want.are.Actors {
		now, count := running(a.Name), replicas[a.Name]
		before, is := known[a.Name]
		delete(known, a.Name)
		if !is {
			p.Changes = append(p.Changes, change{Actor: a.Name, Action: addAction})
			continue
		}
		switch settings := differing(before, wanted[a.Name]); {
		case len(settings) > 0:
			p.Changes = append(p.Changes, change{Actor: a.Name, Action: changeAction, Settings: settings})
		case now != count:
			p.Changes = append(p.Changes, change{Actor: a.Name, Action: scaleAction, From: &now, To: &count})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if now := running(name); now > 0 {
			p.Changes = append(p.Changes, change{Actor: name, Action: removeAction, From: &now, To: new(int)})
		}
	}
	return p
}

// complete is an actor with all defaults, and so are those that it hosts.
func complete(a config.Actor) config.Actor {
	a = a.WithDefaults()
	a.Actors = slices.Clone(a.Actors)
	for i := range a.Actors {
		a.Actors[i] = complete(a.Actors[i])
	}
	return a
}

// secret are the settings whose values are not shown.
var secret = regexp.MustCompile(`(^|\.)env\..+$`)

// differing are the settings that are not the same in two of them.
func differing(have, want texts) (settings []setting) {
	all := maps.Clone(have.are)
	maps.Copy(all, want.are)
	whole := ""
	for _, key := range sortedKeys(all) {
		before, after := have.are[key], want.are[key]
		from, to := have.show(key), want.show(key)
		switch {
		case before == after || whole != "" && strings.HasPrefix(key, whole+"."):
			continue
		case secret.MatchString(key), from == to:
			from, to = hidden(before), hidden(after)
		case before == anActor || after == anActor:
			whole = key // the rest of it is not news
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
	case v.Type() == reflect.TypeFor[[]config.Actor]():
		for i := range v.Len() {
			name := below(v.Index(i).FieldByName("Name").String())
			found[name] = anActor
			flatten(found, name, v.Index(i))
		}
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

// beyondApply are the actors whose changes need a new start of the host.
func (p *plan) beyondApply() (names []string) {
	for _, c := range p.Changes {
		if c.To == nil {
			names = append(names, c.title())
		}
	}
	return names
}

func (c *change) title() string {
	if c.Actor == "" {
		return "supervision"
	}
	return c.Actor
}

// String is the plan for people.
func (p *plan) String() string {
	if len(p.Changes) == 0 {
		return "no difference\n"
	}
	var out strings.Builder
	for _, c := range p.Changes {
		switch c.Action {
		case addAction:
			fmt.Fprintf(&out, "+ %s: a new actor\n", c.title())
		case removeAction:
			fmt.Fprintf(&out, "- %s: not in the file, %s running\n", c.title(), plural(*c.From, "replica"))
		case scaleAction:
			fmt.Fprintf(&out, "~ %s: %s running, %d in the file\n", c.title(), plural(*c.From, "replica"), *c.To)
		default:
			fmt.Fprintf(&out, "! %s: other settings\n", c.title())
		}
		for _, s := range c.Settings {
			fmt.Fprintf(&out, "    %s: %s, in the file %s\n", s.Key, orNone(s.From), orNone(s.To))
		}
	}
	if stays := p.beyondApply(); len(stays) > 0 {
		fmt.Fprintf(&out, "\nOnly a new start of host serve changes these: %s.\n", strings.Join(stays, ", "))
	} else {
		out.WriteString("\nhost apply changes what runs.\n")
	}
	return out.String()
}
