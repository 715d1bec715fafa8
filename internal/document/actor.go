package document

import (
	"strings"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Version is that of the documents. A field may be added without another version.
const Version = 1

// Command is the name of the actor that a command becomes in the tree of a host that serves.
const Command = "cli"

// IsCommand reports whether an event is about a command, which come and go: one may have left, and its host not have told
// that yet. They are no part of what is shown.
func IsCommand(e *directory.Event) bool { return isCommand(e.Joined, e.Actor.Name, e.Path) }

// OfCommand reports whether numbers are those of a command.
func OfCommand(m telemetry.Metrics) bool { return isCommand(m.Joined, m.ID.Name, m.Actor) }

func isCommand(joined bool, name, path string) bool {
	return joined && name == Command && !strings.Contains(path, "/")
}

// Listing is the document of host ps, and of host tree, whose actors have actors.
type Listing struct {
	Version int      `json:"version"`
	Actors  []*Actor `json:"actors"`
}

// Actor is an actor in a document.
type Actor struct {
	Path      string               `json:"path"`
	Name      string               `json:"name"`
	UUID      string               `json:"uuid"`
	PID       int                  `json:"pid,omitempty"`
	State     directory.State      `json:"state"`
	Epoch     int                  `json:"epoch"`
	Joined    bool                 `json:"joined,omitempty"`
	Host      string               `json:"host,omitempty"` // on whose machine it runs, if not that of the root
	Reason    string               `json:"reason,omitempty"`
	Used      directory.Usage      `json:"used,omitzero"` // by the last process, if there is none now
	Endpoints []directory.Endpoint `json:"endpoints"`
	Actors    []*Actor             `json:"actors,omitempty"`
}

// OfEntry is an actor as the directory knows it.
func OfEntry(e *directory.Entry) *Actor {
	endpoints := e.Endpoints
	if endpoints == nil {
		endpoints = []directory.Endpoint{}
	}
	return &Actor{
		Path: e.Path, Name: e.Actor.Name, UUID: e.Actor.UUID, PID: e.Actor.PID,
		State: e.State, Epoch: e.Epoch, Joined: e.Last.Joined, Host: e.Last.Host, Reason: e.Last.Reason, Used: e.Last.Used, Endpoints: endpoints,
	}
}

// OfEntries are actors as the directory knows them, without commands.
func OfEntries(entries []directory.Entry) []*Actor {
	all := []*Actor{}
	for i := range entries {
		if !IsCommand(&entries[i].Last) {
			all = append(all, OfEntry(&entries[i]))
		}
	}
	return all
}

// Nested puts each actor below its host. They come in the order of their paths, a host first.
func Nested(all []*Actor) (top []*Actor) {
	top = []*Actor{}
	at := map[string]*Actor{}
	for _, a := range all {
		at[a.Path] = a
		if host := at[treepath.Host(a.Path)]; host != nil {
			host.Actors = append(host.Actors, a)
		} else {
			top = append(top, a)
		}
	}
	return top
}
