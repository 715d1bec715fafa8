package otlp

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of what is known of processes that are gone: for as long as what they have said may be on its way.
const (
	mostProcesses = 4    // the last ones of an actor
	mostGone      = 1024 // actors
)

// resources knows the processes of a tree, each of which is a resource of OpenTelemetry's. It is a fold over the
// events of the directory; mu guards what is not set for good.
type resources struct {
	common []telemetry.Field // of all

	mu    sync.Mutex
	known map[string][]process // by the paths of actors, the oldest first
	gone  []string             // paths of actors that have been told gone, the oldest first
}

// process is one process of an actor.
type process struct {
	id       actor.ID
	since    time.Time
	gone     bool
	resource *resourcepb.Resource // of what is known of it so far, once somebody has asked
}

// newResources has the attributes that all resources have, and the process of the root, which is nobody's actor.
func newResources(common map[string]string) *resources {
	r := &resources{known: map[string][]process{}}
	for _, name := range slices.Sorted(maps.Keys(common)) {
		if name != serviceName {
			r.common = append(r.common, telemetry.Field{Key: name, Value: common[name]})
		}
	}
	if machine, err := os.Hostname(); err == nil && common[hostName] == "" {
		r.common = append(r.common, telemetry.Field{Key: hostName, Value: machine})
	}
	r.known[""] = []process{{id: actor.ID{Name: cmp.Or(common[serviceName], "host"), UUID: uuid.NewString(), PID: os.Getpid()}}}
	return r
}

// Names of attributes.
const (
	serviceName = "service.name"
	hostName    = "host.name"
)

// follow takes in what becomes of the actors of a tree, until ctx or the tree ends. What was missed does not matter: what
// follows says how things are now.
func (r *resources) follow(ctx context.Context, registry directory.Registry) {
	for e, err := range registry.Watch(ctx, "") {
		if err == nil && e.Path != "" {
			r.apply(&e)
		}
	}
}

func (r *resources) apply(e *directory.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.known[e.Path]
	last := len(all) - 1
	switch {
	case last < 0 || !all[last].id.Is(e.Actor):
		all = append(all, process{id: e.Actor, since: e.Time})
		last = len(all) - 1
	case all[last].id.PID != e.Actor.PID:
		all[last].id, all[last].resource = e.Actor, nil
	}
	all[last].gone = e.To == directory.Gone
	r.known[e.Path] = slices.Delete(all, 0, max(0, len(all)-mostProcesses))
	if e.To == directory.Gone {
		r.gone = append(r.gone, e.Path)
		r.forget()
	}
}

// forget drops the actor that has been gone for the longest, if there are too many.
func (r *resources) forget() {
	if len(r.gone) <= mostGone {
		return
	}
	path := r.gone[0]
	r.gone = r.gone[1:]
	if all := r.known[path]; len(all) > 0 && all[len(all)-1].gone && !slices.Contains(r.gone, path) {
		delete(r.known, path)
	}
}

// of is the resource of the process that an actor was at some time.
func (r *resources) of(path string, at time.Time) *resourcepb.Resource {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.known[path]
	if len(all) == 0 {
		return r.describe(path, actor.ID{Name: treepath.Name(path)})
	}
	i := len(all) - 1
	for i > 0 && all[i].since.After(at) {
		i--
	}
	if all[i].resource == nil {
		all[i].resource = r.describe(path, all[i].id)
	}
	return all[i].resource
}

// describe has the attributes of a resource, by the names that OpenTelemetry has for them. Replicas of an actor are
// instances of one service.
func (r *resources) describe(path string, id actor.ID) *resourcepb.Resource {
	fields := slices.Clone(r.common)
	for _, f := range []telemetry.Field{
		{Key: serviceName, Value: id.Name}, {Key: "service.instance.id", Value: id.UUID}, {Key: "trellis.path", Value: path}, {Key: "process.pid", Value: int64(id.PID)},
	} {
		if f.Value != "" && f.Value != int64(0) {
			fields = append(fields, f)
		}
	}
	return &resourcepb.Resource{Attributes: encodeFields(fields)}
}
