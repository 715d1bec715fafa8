package wire

import (
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// What go-plugin's handshake must agree on between a host and a plugin.
const (
	CookieKey   = "TRELLIS_COOKIE"
	CookieValue = "61b9c6a7-structured-concurrency-for-plugins"
	PluginName  = "trellis" // in go-plugin's plugin map
)

// LogKey and LogRuntime mark what the runtime itself logs, and not the author of a plugin: it
// is never among an actor's last words.
const (
	LogKey     = "logger"
	LogRuntime = "trellis"
)

// CancelActor is the runtime endpoint that ends an actor: a Func from
// CancelRequest to nothing, as CBOR. It answers when the actor's tasks have ended.
const CancelActor = "trellis/cancel"

// CancelRequest says who wants an actor to end, and why.
type CancelRequest struct {
	Canceller actor.ID `json:"canceller"`
	Reason    string   `json:"reason"`
	// Grace is how long the actor has, from now on, until its host uses force.
	Grace time.Duration `json:"grace"`
}
