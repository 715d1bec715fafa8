// Command bareplugin keeps values, as a plugin of bare go-plugin.
package main

import (
	"fmt"
	"sync"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"
)

type store struct{ values sync.Map }

func (s *store) Put(key string, value []byte) error {
	s.values.Store(key, value)
	return nil
}

func (s *store) Get(key string) ([]byte, error) {
	value, there := s.values.Load(key)
	if !there {
		return nil, fmt.Errorf("nothing is kept under %s", key)
	}
	return value.([]byte), nil
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: shared.Handshake,
		Plugins:         plugin.PluginSet{shared.PluginGRPC: &shared.KVGRPCPlugin{Impl: &store{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
