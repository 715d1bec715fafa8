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
type Spec = config.Actor

// checkAlone refuses a spec that is not that of one actor by itself. What only a tree
// can give is not ignored.
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

// checkTree refuses a tree that cannot be started.
func checkTree(s config.Supervision, actors []Spec) error {
	if err := (&config.Tree{Supervision: s, Actors: actors}).Check(); err != nil {
		return err
	}
	return checkBuilt("actors.", actors)
}

// checkBuilt refuses packages: only Build makes programs of them. path is that of the
// list, and begins the actors' own.
func checkBuilt(path string, actors []Spec) error {
	for _, a := range actors {
		if a.Package != "" {
			return fmt.Errorf("%s%s.package: %q must be built first (host.Build)", path, a.Name, a.Package)
		}
		if err := checkBuilt(path+a.Name+".actors.", a.Actors); err != nil {
			return err
		}
	}
	return nil
}

// clash is why an actor cannot have its name in this nursery: that of a foreign program
// is one of its own, as it has no identity beside it. Replicas share one on purpose. It
// is called under the lock.
func (n *Nursery) clash(spec Spec) error {
	if spec.Replicas > 1 {
		return nil
	}
	for _, c := range n.children {
		if c.spec.Name == spec.Name && (c.spec.GoPlugin != nil || spec.GoPlugin != nil) {
			return &StartError{Actor: spec.Name, Stage: "spec", Err: errors.New(
				"name: an actor of this nursery has it already, and one of the two is a foreign program; rename one")}
		}
	}
	return nil
}
