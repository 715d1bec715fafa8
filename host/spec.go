package host

import (
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/host/config"
)

// Spec says how to start an actor. It is what stands in a config file, and is checked by
// the same rules. Its fields, and the types and constants that they take (Duration,
// Transient, Started), are in package config:
//
//	spec.Restart = config.Transient
//	spec.Backoff.Initial = config.Duration(time.Millisecond)
//
// Replicas and DependsOn are about an actor among its siblings, and so they are for [OpenTree];
// Package is for [Build], which puts a Command in its place. [Nursery.Start] and [Run] ignore
// none of them: they refuse a spec that has one. Actors and their Supervision go down to the
// actor, which starts them with [Subtree].
type Spec = config.Actor

// checkAlone refuses a spec that is not that of one actor by itself. What only a tree can
// give is refused and not ignored: whoever writes depends_on relies on it. The error has
// the stage "spec" and is lasting, since nothing but another spec would help.
func checkAlone(spec Spec, oneShot bool) error {
	err := spec.Check()
	switch {
	case err != nil:
	case spec.Replicas > 1:
		err = fmt.Errorf("replicas: expected one process, got %d; start each by itself, or all with OpenTree", spec.Replicas)
	case len(spec.DependsOn) > 0:
		err = errors.New("depends_on: an actor that is started by itself cannot depend on others; start those that it needs before it, or all with OpenTree")
	case oneShot && spec.Restart != "" && spec.Restart != config.Temporary:
		err = fmt.Errorf("restart: expected temporary, got %q; Run never restarts", spec.Restart)
	default:
		err = checkBuilt("", []Spec{spec})
	}
	if err != nil {
		return &StartError{Actor: spec.Name, Stage: "spec", Lasting: true, Err: err}
	}
	return nil
}

// checkTree refuses a tree that cannot be started, by the rules for config files, so that
// trees from Go and from files are told the same.
func checkTree(s config.Supervision, actors []Spec) error {
	if err := (&config.Tree{Supervision: s, Actors: actors}).Check(); err != nil {
		return err
	}
	return checkBuilt("actors.", actors)
}

// checkBuilt refuses what is no plugin yet: packages, which Build makes programs of, and MCP servers. path is that of the
// list, and begins the actors' own.
func checkBuilt(path string, actors []Spec) error {
	for _, a := range actors {
		if a.Package != "" {
			return fmt.Errorf("%s%s.package: %q must be built first (host.Build)", path, a.Name, a.Package)
		}
		if a.MCP != nil {
			return fmt.Errorf("%s%s.mcp: the command host makes a plugin of an MCP server; in your own program, start one that calls mcp.Serve", path, a.Name)
		}
		if err := checkBuilt(path+a.Name+".actors.", a.Actors); err != nil {
			return err
		}
	}
	return nil
}

// StartError says at which stage the start of an actor failed, and why. Nothing
// of the actor is left.
type StartError struct {
	Actor string
	Stage string // "spec", "program", "handshake", "connection" (foreign programs), "link" or "boot"
	// Lasting is whether another start would fail in the same way, since the program or
	// its description is at fault. Such an actor is not restarted.
	Lasting bool
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("actor %q did not start, at its %s: %v", e.Actor, e.Stage, e.Err)
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// lastingError is a failure of a start that another start would repeat. It never leaves
// the package: incarnation.start takes it off, and sets StartError.Lasting instead.
type lastingError struct{ error }
