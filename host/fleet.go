package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/fabric"
)

// Fleet is what a host on one of several machines has beside one that is alone.
type Fleet struct {
	// Credentials prove to other hosts who this one is, and say which others there may be.
	Credentials *fleet.Credentials
	// Listen, if not empty, is the address of TCP at which programs on other machines may [Join] this actor,
	// as in "10.0.0.1:7077". Every host whose certificate is of the same CA can.
	Listen string
	// Advertise is where others reach that address; as Listen if empty.
	Advertise string
	// Agents are started by commands of this host, which run for as long as the nursery is open, and are started again when
	// they end, unless they were drained. What they print is logged with the agent's name. A host that has them must have Listen. See docs/machines.md.
	Agents []config.Launched
	// Lease is how long an actor on another machine lives that this host does not answer; 5 s if 0, 200 ms at least.
	Lease time.Duration
	// Registry, if not nil, lets one root at a time have the tree: this host joins it, and holds the name Tree in it
	// before it starts anything and until all has ended. While another one holds it, OpenNursery waits. The caller closes it.
	Registry fleet.Registry
	// Tree is that name, without [fleet.TreePrefix]. The commands of Agents may have it.
	Tree string
	// Host is the name of this host in the registry; that in its certificate if empty, or else the machine's. The member is
	// called HOST:TREE, since a host may be the root of several trees.
	Host string
	// OnRegistryLoss says what to do when the registry may give the name to another host. With the default, stop, the
	// nursery ends with the *fleet.LostError as its cause, and all of its processes with it, before that can be.
	OnRegistryLoss config.OnRegistryLoss

	until func() time.Time // when the tree must have ended; nil: never
}

// hostName is the name of this host: a given one, that in its certificate, or the machine's.
func hostName(given string, c *fleet.Credentials) (string, error) {
	switch {
	case given != "":
		return given, nil
	case c != nil:
		return c.Host(), nil
	}
	return os.Hostname()
}

// listen makes the listener of a host that others reach; nil if none do.
func (f *Fleet) listen(ctx context.Context) (*fabric.Listener, error) {
	switch {
	case f == nil || f.Listen == "":
		return nil, nil //nolint:nilnil // it is no failure
	case f.Credentials == nil:
		return nil, errors.New("host.Options.Fleet: to listen for other machines takes Credentials (fleet.LoadCredentials)")
	}
	l, err := fabric.Listen(ctx, f.Listen, f.Credentials)
	if err != nil {
		return nil, fmt.Errorf("listen for other machines at %s: %w", f.Listen, err)
	}
	return l, nil
}

// dialFleet connects to a host at an address such as tls://10.0.0.1:7077.
func dialFleet(ctx context.Context, address string, credentials *fleet.Credentials) (net.Conn, error) {
	peer, at, err := fabric.ParseAddress(address)
	switch {
	case err != nil:
		return nil, err
	case credentials == nil:
		return nil, fmt.Errorf("join the host at %s: it takes credentials, as other machines are joined with (JoinOptions.Credentials, --credentials)", address)
	}
	conn, err := fabric.Dial(ctx, credentials, at, peer)
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return nil, fmt.Errorf("%w: %s; %w", ErrNoHost, address, err)
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}
