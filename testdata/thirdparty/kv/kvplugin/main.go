// Command kvplugin keeps values, as a plugin of Trellis.
package main

import (
	"context"
	"sync"

	"example.com/thirdparty/kv"
	"github.com/seed-2ba35074/trellis/sdk"
)

type store struct{ values sync.Map }

func (s *store) put(_ context.Context, e kv.Entry) (none struct{}, err error) {
	s.values.Store(e.Key, e.Value)
	return none, nil
}

func (s *store) get(_ context.Context, key string) ([]byte, error) {
	value, there := s.values.Load(key)
	if !there {
		return nil, &kv.Missing{Key: key}
	}
	return value.([]byte), nil
}

func main() {
	s := &store{}
	sdk.Serve(kv.Put.Handle(s.put), kv.Get.Handle(s.get))
}
