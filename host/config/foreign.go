package config

import "github.com/seed-2ba35074/trellis/internal/environ"

// GoPlugin describes a foreign program: a plugin for hashicorp/go-plugin over gRPC
// that knows nothing of Trellis. It is supervised as any actor and serves no
// endpoints; the application calls it with a gRPC client of its own.
type GoPlugin struct {
	// Cookie is the one variable by which the program knows that it is started as
	// a plugin: its MagicCookieKey and MagicCookieValue. It is not a secret; go-plugin only
	// has it so that a plugin started by hand can say what it is.
	Cookie map[string]string `yaml:"cookie" json:"cookie"`
	// Versions are the protocol versions that the application speaks. The program
	// picks the highest that it knows. They are the application's own numbers, of which 0
	// may be one, and have nothing to do with go-plugin's version of the handshake.
	Versions []int `yaml:"versions" json:"versions"`
	MTLS     MTLS  `yaml:"mtls" json:"mtls,omitempty" default:"auto" oneof:"auto off"`
	// Multiplex sends the connections of go-plugin's broker through the main one, for
	// programs whose clients need that. go-plugin's own hosts call it
	// GRPCBrokerMultiplex.
	Multiplex bool `yaml:"multiplex" json:"multiplex,omitempty" default:"false"`
}

// MCP describes a server of the Model Context Protocol, which speaks over its standard input and output.
type MCP struct{}

// MTLS says how the connection to a foreign program is protected.
type MTLS string

// The kinds of protection.
const (
	MTLSAuto MTLS = "auto" // go-plugin's AutoMTLS: a certificate on each side, made for this process
	MTLSOff  MTLS = "off"  // none: for programs that cannot, which is rare outside Go
)

// mcp checks the description of an MCP server.
func (c *checker) mcp(a Actor, at *place) {
	switch key := at.key("mcp"); {
	case a.MCP == nil:
	case a.GoPlugin != nil:
		c.note(key, "an MCP server is no plugin for go-plugin; remove this, or goplugin")
	case a.Package != "":
		c.note(key, "expected the command that starts the server, got a package; an MCP server of your own is a program like others")
	case len(a.Actors) > 0:
		c.note(at.key("actors"), "an MCP server cannot start actors of the tree; put them beside it")
	}
}

// foreign checks the description of a foreign program. What needs the runtime of Trellis inside
// the process is refused and not ignored: a setting without an effect is one that somebody
// relies on in vain.
func (c *checker) foreign(a Actor, at *place) {
	if a.GoPlugin == nil {
		return
	}
	cookie, versions := at.key("goplugin").key("cookie"), at.key("goplugin").key("versions")
	if n := len(a.GoPlugin.Cookie); n != 1 {
		c.note(cookie, "expected exactly one {KEY: value}, the MagicCookieKey and MagicCookieValue of the program, got %d", n)
	}
	for _, key := range sortedKeys(a.GoPlugin.Cookie) {
		value := a.GoPlugin.Cookie[key]
		if err := environ.CheckVariable(key, value); err != nil {
			c.refused(cookie.key(key), err)
		} else if value == "" {
			c.note(cookie.key(key), "expected the program's MagicCookieValue, it is empty")
		}
		if _, twice := a.Env[key]; twice {
			c.note(at.key("env").key(key), "it is the program's cookie (goplugin.cookie), which the host sets itself; remove this")
		}
	}
	c.noteIf(len(a.GoPlugin.Versions) == 0, versions, "expected the protocol versions that you speak, such as [1], there are none")
	for i, v := range a.GoPlugin.Versions {
		c.noteIf(v < 0, versions.item(i, ""), "expected numbers from 0 up, got %d", v)
	}
	c.noteIf(len(a.Actors) > 0, at.key("actors"), "a foreign program cannot start actors of the tree; put them beside it")
	c.noteIf(a.Stuck != "", at.key("stuck"), "a foreign program has no tasks that could be stuck; remove this")
	c.noteIf(a.Streams != (Streams{}), at.key("streams"), "a foreign program serves no endpoints, and has no streams of theirs; remove this")
	c.noteIf(a.Callers != nil, at.key("callers"), "a foreign program serves no endpoints that anybody could call; remove this")
	c.noteIf(a.Health.Endpoint != "", at.key("health").key("endpoint"), "a foreign program serves no endpoints; its gRPC health service is asked")
}
