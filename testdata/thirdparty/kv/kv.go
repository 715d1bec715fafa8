// Package kv is what a plugin that keeps values and its callers share.
package kv

import (
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	Put = contract.Func[Entry, struct{}]("put")
	Get = contract.Func[string, []byte]("get") // may fail with a *Missing
)

type Entry struct {
	Key   string
	Value []byte
}

// Missing says that nothing is kept under a key.
type Missing struct{ Key string }

func (m *Missing) Error() string { return "nothing is kept under " + m.Key }

func init() { fault.Type[Missing]("kv.Missing") }
