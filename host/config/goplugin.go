package config

import (
	"cmp"

	"go.yaml.in/yaml/v3"
)

// GoPlugin describes a foreign program: a plugin for hashicorp/go-plugin over gRPC
// that knows nothing of Trellis. It is supervised as any actor and serves no
// endpoints; the application calls it with a gRPC client of its own.
type GoPlugin struct {
	// Cookie is the one variable by which the program knows that it is started as
	// a plugin: its MagicCookieKey and MagicCookieValue.
	Cookie map[string]string `yaml:"cookie" json:"cookie"`
	// Versions are the protocol versions that the application speaks. The program
	// picks the highest that it knows.
	Versions []int `yaml:"versions" json:"versions"`
	MTLS     MTLS  `yaml:"mtls" json:"mtls,omitempty" default:"auto"`
	// Multiplex sends the connections of go-plugin's broker through the main one, for
	// programs whose clients need that. go-plugin's own hosts call it
	// GRPCBrokerMultiplex.
	Multiplex bool `yaml:"multiplex" json:"multiplex,omitempty" default:"false"`
}

// MTLS says how the connection to a foreign program is protected.
type MTLS string

// The kinds of protection.
const (
	MTLSAuto MTLS = "auto" // go-plugin's AutoMTLS: a certificate on each side, made for this process
	MTLSOff  MTLS = "off"  // none: for programs that cannot, which is rare outside of Go
)

// validateForeign reports what is wrong with the actors of a tree one by one, foreign
// programs among them.
func (r *reader) validateForeign(root *yaml.Node, t *Tree) {
	r.validateGoPlugins(child(root, "actors"), t.Actors, "actors")
	if t.Run == nil || index(t.Actors)[t.Run.Actor].GoPlugin == nil {
		return
	}
	run := cmp.Or(child(root, "run"), root)
	r.report(cmp.Or(child(run, "actor"), run), "run.actor",
		"expected an actor that serves endpoints, got %q, which is a foreign program (goplugin)", t.Run.Actor)
}

// validateGoPlugins checks siblings and what is below them. list may be nil or of
// another kind after a problem that has been reported.
func (r *reader) validateGoPlugins(list *yaml.Node, actors []Actor, path string) {
	for i, a := range actors {
		if list == nil || list.Kind != yaml.SequenceNode || i >= len(list.Content) {
			return
		}
		n := list.Content[i]
		at := itemPath(path, n, i)
		for _, m := range a.Misfits() {
			r.reportMisfit(n, at, m)
		}
		r.validateGoPlugins(child(n, "actors"), a.Actors, join(at, "actors"))
	}
}
