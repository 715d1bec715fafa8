package config

import (
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
	// Lease is how long an actor on another machine lives that this host does not answer.
	Lease Duration `yaml:"lease" json:"lease,omitempty" default:"5s" min:"200ms,a busy machine would end actors that are well"`
}

func (c *checker) fleet(f Fleet, at *place) {
	c.values(reflect.ValueOf(f), at)
	if f.Listen != "" {
		if _, port, err := net.SplitHostPort(f.Listen); err != nil || port == "" {
			c.note(at.key("listen"), "expected an address with a port, such as 10.0.0.1:7077, got %s", words.Quote(f.Listen))
		}
	}
	if (f.Listen != "" || f.Host != "") && f.Credentials == "" {
		c.note(at.key("credentials"), "expected the directory of this host's certificate, there is none; host ca issue makes one")
	}
}
