package wire

import (
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Version is the protocol version that this package speaks. Another one is refused.
const Version = 1

// What go-plugin's handshake must agree on between a host and a plugin. The cookie is not a
// secret. It only shows a program that it was started by a host, and not by hand, and keeps a
// host from taking another project's plugin for one of its own. Programs in other languages
// have these values from docs/protocol, so that they cannot change within version 1.
const (
	CookieKey   = "TRELLIS_COOKIE"
	CookieValue = "61b9c6a7-structured-concurrency-for-plugins"
	PluginName  = "trellis" // in go-plugin's plugin map
)

// LogKey and LogRuntime mark what the runtime itself logs, and not the author of a plugin.
// Such a line is never among an actor's last words, which are to say what the author's
// program printed before it died. LogHosted marks a line of those that an actor hosts, or
// about them, which its host is told as a record as well.
const (
	LogKey     = "logger"
	LogRuntime = "trellis"
	LogHosted  = "trellis.hosted"
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

// Renew is the runtime endpoint at which an actor with a lease asks its host for another term: a
// Func from nothing to a time.Duration (package lease).
const Renew = "trellis/renew"

// Order is the runtime endpoint by which a program that has joined a host ends an actor below
// that, has it started again or run more or fewer times, or asks about it: a Func from
// OrderRequest, as CBOR. It answers when that is done. A host passes an order on to the actor
// below it that hosts the one which is meant, at this same endpoint.
const Order = "trellis/order"

// OrderRequest says which actor, and what is to become of it.
type OrderRequest struct {
	Name     string `json:"name,omitempty"` // or path, of which the host of the program that has joined makes Path
	Path     string `json:"path,omitempty"` // from the root of the tree; of all replicas, without a number
	Do       string `json:"do"`
	Replicas int    `json:"replicas,omitempty"` // how many there are to be
	By       string `json:"by,omitempty"`       // the path of who wants it; the host of that program says it
	Tree     []byte `json:"tree,omitempty"`     // what the actor is to host, as in a BootRequest
	Dry      bool   `json:"dry,omitempty"`      // it is only asked what would change
}

// What an order wants.
const (
	OrderCancel      = "cancel"        // its end, for good
	OrderRestart     = "restart"       // another process of it
	OrderDrain       = "drain"         // of an agent: its actors are started elsewhere, and it leaves
	OrderScale       = "scale"         // another number of replicas
	OrderAwaitHealth = "await-healthy" // nothing but to know when its last health check has passed
	OrderDescribe    = "describe"      // what is known of it: the answer is an inspect.Actor, as CBOR
	OrderLook        = "look"          // the same, without the sum of its program and the types of its endpoints, for whoever looks again and again
	OrderDump        = "dump"          // the same, with the goroutines of its process, and without the types of its endpoints
	OrderApply       = "apply"         // that it hosts what Tree says; only its own host asks: the answer is JSON, the changes
)

// Asks reports whether the order only asks. Such a one may be given for the host itself, without a name and a
// path, and nobody waits for its callee longer than for its answer.
func (r *OrderRequest) Asks() bool {
	return r.Do == OrderDescribe || r.Do == OrderLook || r.Do == OrderDump
}

// Inspect is the runtime endpoint at which an actor tells its host what its process is doing: a Func from an
// OrderRequest, of which only Do counts, to an inspect.Process, as CBOR.
const Inspect = "trellis/inspect"

// Events is the runtime endpoint on which an actor tells its host what becomes of the actors that
// it hosts itself: a Context, whose stream from the opener has them (package report).
const Events = "trellis/events"

// Query and Watch are the runtime endpoints by which an actor asks its host for the
// directory of the tree: a Func for who is there, and a Source of what becomes of them
// (package report).
const (
	Query = "trellis/directory/query"
	Watch = "trellis/directory/watch"
)

// Records is the runtime endpoint on which an actor tells its host what those that it hosts
// say, as it does of events with Events, and the spans of what it and they do; WatchRecords
// and WatchSpans are the Sources that show what a host has of either to programs that have
// joined it (package report).
const (
	Records      = "trellis/records"
	WatchRecords = "trellis/records/watch"
	WatchSpans   = "trellis/spans/watch"
)

// Metrics is the runtime endpoint at which a host asks an actor for its
// numbers, and for those of the actors below it: a Func from MetricsRequest to
// what they are, as CBOR (package route). ReadMetrics is the one at which a
// program that has joined a host asks that for those of its tree, a Func from
// nothing.
const (
	Metrics     = "trellis/metrics"
	ReadMetrics = "trellis/metrics/read"
)

// MetricsRequest says how long the one who asks waits.
type MetricsRequest struct {
	Within time.Duration `json:"within"`
}

// DirectoryPrefix begins the names of the runtime endpoints that any actor of the tree may
// call, over relays. All others are between an actor and its host.
const DirectoryPrefix = "trellis/directory/"
