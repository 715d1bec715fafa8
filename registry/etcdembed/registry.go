package etcdembed

import (
	"context"
	"errors"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

// Driver is the name of this driver.
const Driver = "etcdembed"

// Register makes the driver known to [fleet.Open].
func Register() { fleet.Register(Driver, Open) }

// registry is a client, and the server in this process that it asks.
type registry struct {
	fleet.Registry
	server *Server
}

// Open starts a server, as [Start] does, and makes a client of it. Endpoints may have the addresses of the others, which it
// asks too. Closing the registry stops the server.
func Open(ctx context.Context, s fleet.Settings) (fleet.Registry, error) {
	server, err := Start(s)
	if err != nil {
		return nil, err
	}
	s.Endpoints = append([]string{server.Address()}, s.Endpoints...)
	s.Dir, s.Listen, s.Peers = "", "", nil
	client, err := etcd.Open(ctx, s)
	if err != nil {
		server.Close()
		return nil, err
	}
	return &registry{client, server}, nil
}

// Close implements [fleet.Registry].
func (r *registry) Close() error {
	err := r.Registry.Close()
	r.server.Close()
	if err != nil {
		return errors.Join(errors.New("the registry's server has stopped"), err)
	}
	return nil
}
