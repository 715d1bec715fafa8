package config

import (
	"cmp"
	"net"
	"reflect"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Fleet is what a root host on one of several machines has beside one that is alone.
type Fleet struct {
	// Host is the name of this host, which must be that in its certificate; if empty, it is that.
	Host string `yaml:"host" json:"host,omitempty"`
	// Credentials is a directory with ca.pem, host.pem and host.key, as the command host ca issue makes it.
	Credentials string `yaml:"credentials" json:"credentials,omitempty"`
	// Listen is an address of TCP, where programs on other machines join this host.
	Listen string `yaml:"listen" json:"listen,omitempty"`
	// Advertise is where others reach that address, which the registry and Agents are told; as Listen if empty.
	Advertise string `yaml:"advertise" json:"advertise,omitempty"`
	// Agents are started by this host, 1,024 at most.
	Agents []Launched `yaml:"agents" json:"agents,omitempty"`
	// Lease is how long an actor on another machine lives that this host does not answer.
	Lease Duration `yaml:"lease" json:"lease,omitempty" default:"5s" min:"200ms,a busy machine would end actors that are well"`
	// Registry is where this host holds the name of its tree, so that there is one root of that name.
	Registry Registry `yaml:"registry" json:"registry,omitzero"`
	// OnRegistryLoss is what becomes of the tree when the registry does not answer for so long that another root may begin.
	OnRegistryLoss OnRegistryLoss `yaml:"on_registry_loss" json:"on_registry_loss,omitempty" default:"stop" oneof:"stop keep"`
}

// Registry says which registry, as fleet.Settings does; there is none without a driver.
type Registry struct {
	Driver    string   `yaml:"driver" json:"driver"`
	Endpoints []string `yaml:"endpoints" json:"endpoints,omitempty"` // of its servers
	// TTL is after which time without a renewal the registry gives the tree to another root.
	TTL Duration `yaml:"ttl" json:"ttl,omitempty" default:"5s" min:"2s, as etcd grants no shorter lease"`
	// Credentials is a directory as in Fleet; if empty, it is that one.
	Credentials string `yaml:"credentials" json:"credentials,omitempty"`
	// Of a server in this host: the directory of its data, where clients reach it, and all servers by their hosts' names.
	Dir    string            `yaml:"dir" json:"dir,omitempty"`
	Listen string            `yaml:"listen" json:"listen,omitempty"`
	Peers  map[string]string `yaml:"peers" json:"peers,omitempty"`
}

// OnRegistryLoss is what becomes of a tree whose root is not a member of its registry any more.
type OnRegistryLoss string

// What becomes of it.
const (
	StopOnRegistryLoss OnRegistryLoss = "stop" // it has ended before another root can begin
	KeepOnRegistryLoss OnRegistryLoss = "keep" // it goes on, perhaps beside another one, and its root joins again
)

// address checks an address of TCP, and gives its host.
func (c *checker) address(text string, at *place) (host string) {
	if text == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	c.noteIf(err != nil || port == "", at, "expected an address with a port, such as 10.0.0.1:7077, got %s", words.Quote(text))
	return host
}

func (c *checker) fleet(f Fleet, at *place) {
	c.values(reflect.ValueOf(f), at)
	listen := c.address(f.Listen, at.key("listen"))
	advertised := c.address(f.Advertise, at.key("advertise"))
	if ip := net.ParseIP(cmp.Or(advertised, listen)); (f.Registry.Driver != "" || len(f.Agents) > 0) && ip != nil && ip.IsUnspecified() {
		c.note(at.key("advertise"), "expected the address at which other machines reach this one, such as 10.0.0.1:7077: nobody can connect to %s", words.Quote(ip.String()))
	}
	c.agents(f, at)
	c.noteIf(f.Registry.Driver == "" && !reflect.ValueOf(f.Registry).IsZero(), at.key("registry").key("driver"), "expected the name of a driver, such as etcd")
	c.noteIf((f.Listen != "" || f.Host != "" && f.Registry.Driver == "") && f.Credentials == "", at.key("credentials"), "expected the directory of this host's certificate, there is none; host ca issue makes one")
}
