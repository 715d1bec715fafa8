package wire

import (
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// What go-plugin's handshake must agree on between a host and a plugin. The cookie is not a
// secret. It only shows a program that it was started by a host, and not by hand, and keeps a
// host from taking another project's plugin for one of its own. Programs in other languages
// have these values from docs/protocol, so that they cannot change within version 1.
const (
	CookieKey   = "TRELLIS_COOKIE"
	CookieValue = "61b9c6a7-structured-concurrency-for-plugins"
	PluginName  = "trellis" // in go-plugin's plugin map
)

// LogKey and LogRuntime mark what the runtime itself logs, and not the author of a plugin. Such a
// line is never among an actor's last words, which are to say what the author's program printed
// before it died.
const (
	LogKey     = "logger"
	LogRuntime = "trellis"
)

// CancelActor is the runtime endpoint that ends an actor: a Func from CancelRequest to nothing, as
// CBOR. It answers when the actor's tasks have ended. Being an endpoint, it needs no frame of its
// own, goes as control before all data, and is bounded and acknowledged as any call is.
const CancelActor = "trellis/cancel"

// CancelRequest says who wants an actor to end, and why. Every task of the actor is told that as
// the cause of its ctx.
type CancelRequest struct {
	Canceller actor.ID `json:"canceller"`
	Reason    string   `json:"reason"`
	// Grace is how long the actor has, from now on, until its host uses force.
	Grace time.Duration `json:"grace"`
}

// Order is the runtime endpoint by which a program that has joined a host ends one of its actors, has it
// started again, or has it have another number of replicas: a Func from OrderRequest to nothing, as CBOR. It answers when that is done.
const Order = "trellis/order"

// OrderRequest says which actor, by its path or its name, and what is to become of it.
type OrderRequest struct {
	Name    string `json:"name"`
	Restart bool   `json:"restart,omitempty"`
	// Replicas is how many there are to be; nil for the other two. Name is that of an actor of the tree then.
	Replicas *int `json:"replicas,omitempty"`
}

// Describe is the runtime endpoint by which a program that has joined a host asks what one of its actors
// serves: a Func from a name or a path, as in OrderRequest, to a BootResponse, in protobuf.
const Describe = "trellis/describe"

// Events is the runtime endpoint on which an actor tells its host what becomes of the actors that
// it hosts itself: a Context, whose stream from the opener has them (package report).
const Events = "trellis/events"

// Query and Watch are the runtime endpoints by which an actor asks its host for the directory of the
// tree: a Func for who is there, and a Source of what becomes of them (package report).
const (
	Query = "trellis/directory/query"
	Watch = "trellis/directory/watch"
)

// DirectoryPrefix begins the names of the runtime endpoints that any actor of the tree may call, over
// relays. All others are between an actor and its host.
const DirectoryPrefix = "trellis/directory/"
