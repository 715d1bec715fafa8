// Package kv is what a plugin that keeps values and its callers share.
package kv

import (
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	// Put keeps a value under a key.
	Put = contract.Func[Entry, struct{}]("put")
	// Get returns the value that is kept under a key. It may fail with a *Missing.
	Get = contract.Func[string, []byte]("get")
)

// Entry is a key and its value.
type Entry struct {
	Key   string
	Value []byte
}

// Missing says that nothing is kept under a key.
type Missing struct{ Key string }

func (m *Missing) Error() string { return "nothing is kept under " + m.Key }

func init() { fault.Type[Missing]("kv.Missing") }
