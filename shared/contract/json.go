package contract

import (
	"encoding/json"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// JSON is a value whose type this program does not know.
type JSON = json.RawMessage

// byHand describes an endpoint whose Go types this program does not have. The
// callee checks what fits; results keep the order of the callee's fields.
func byHand(name string, kind dialog.Kind) *signature {
	return &signature{name: name, kind: kind, codec: "json"}
}

// FuncByHand is a Func by name, with JSON.
func FuncByHand(name string) FuncEndpoint[JSON, JSON] {
	return FuncEndpoint[JSON, JSON]{byHand(name, dialog.Func)}
}

// SourceByHand is a Source by name, with JSON.
func SourceByHand(name string) SourceEndpoint[JSON, JSON] {
	return SourceEndpoint[JSON, JSON]{sig: byHand(name, dialog.Source)}
}

// ContextByHand is a Context by name, with JSON.
func ContextByHand(name string) ContextEndpoint[JSON, JSON, JSON, JSON, JSON] {
	return ContextEndpoint[JSON, JSON, JSON, JSON, JSON]{sig: byHand(name, dialog.Context)}
}
