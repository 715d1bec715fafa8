package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Settings say which registry, and how. Each driver says which of them it reads, and refuses the others.
type Settings struct {
	Driver    string   // the name that it was registered with
	Endpoints []string // of the registry's servers, as 10.0.0.1:2379
	// Credentials is a directory with ca.pem, host.pem and host.key, which are read again for each
	// connection. Without it connections are neither encrypted nor authenticated.
	Credentials string
	// TTL is after which time without a renewal the registry gives away what a host holds; 5 s by default, and 2 s at least.
	TTL time.Duration
	// Margin is how long before that time Membership.Lost is closed; a quarter of TTL by default.
	Margin time.Duration
	// Space keeps fleets apart that share a registry: "trellis" by default.
	Space string

	// Of a driver whose server runs in this process:
	Name   string            // of the server among its peers; the name of the host by default
	Dir    string            // where it keeps its data
	Listen string            // where it serves clients, as 10.0.0.1:2379; on this machine only by default
	Peers  map[string]string // all servers by name, this one included, with their addresses for each other, as 10.0.0.1:2380

	// Log, which may be nil, is told what the registry's user should know: each thing once a second at first, and
	// at most once a minute when it goes on.
	Log func(message string, err error)
}

// WithDefaults has a value in each setting that has a default.
func (s Settings) WithDefaults() Settings {
	if s.TTL == 0 {
		s.TTL = 5 * time.Second
	}
	if s.Margin == 0 {
		s.Margin = s.TTL / 4
	}
	if s.Space == "" {
		s.Space = "trellis"
	}
	if s.Log == nil {
		s.Log = func(string, error) {}
	}
	return s
}

// Check says what is wrong with settings that have their defaults.
func (s Settings) Check() error {
	if s.TTL < 2*time.Second || s.TTL > time.Hour {
		return fmt.Errorf("the registry's ttl is %v; it must be from 2s to 1h", s.TTL)
	}
	if s.Margin < 0 || s.Margin > s.TTL/2 {
		return fmt.Errorf("the registry's margin is %v; it must be from 0 to half of its ttl, which is %v", s.Margin, s.TTL)
	}
	return checkKey(s.Space)
}

var drivers struct {
	sync.Mutex
	open map[string]func(context.Context, Settings) (Registry, error)
}

// Register makes a driver known by a name, for [Open]. A driver has a function that does so,
// and does not when its package is imported. It panics if the name is taken.
func Register(name string, open func(context.Context, Settings) (Registry, error)) {
	drivers.Lock()
	defer drivers.Unlock()
	if drivers.open[name] != nil {
		panic(fmt.Sprintf("fleet: the driver %q is registered twice", name))
	}
	if drivers.open == nil {
		drivers.open = map[string]func(context.Context, Settings) (Registry, error){}
	}
	drivers.open[name] = open
}

// Drivers are the names of those that are registered, sorted.
func Drivers() []string {
	drivers.Lock()
	defer drivers.Unlock()
	return slices.Sorted(maps.Keys(drivers.open))
}

// UnknownDriverError is what [Open] fails with if this program does not have the driver.
type UnknownDriverError struct {
	Driver string
	Known  []string // sorted
}

func (e *UnknownDriverError) Error() string {
	has := "no driver of a registry"
	if len(e.Known) > 0 {
		has = "only " + strings.Join(e.Known, " and ")
	}
	const modules = "github.com/seed-2ba35074/trellis/registry/"
	return fmt.Sprintf("the registry driver %q is unknown: this program has %s. The command host with etcd: go install %[3]setcdembed/cmd/host@latest (with both) or %[3]setcd/cmd/host@latest; in a program of yours: etcd.Register() of %[3]setcd", e.Driver, has, modules)
}

// Open connects to a registry. It may return before the registry can be asked.
func Open(ctx context.Context, s Settings) (Registry, error) {
	s = s.WithDefaults()
	if err := s.Check(); err != nil {
		return nil, err
	}
	drivers.Lock()
	open := drivers.open[s.Driver]
	drivers.Unlock()
	if open == nil {
		return nil, &UnknownDriverError{s.Driver, Drivers()}
	}
	return open(ctx, s)
}
