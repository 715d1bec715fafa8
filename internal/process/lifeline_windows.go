package process

import "os"

// A child on Windows inherits no descriptors beyond the standard three.
var lifelineEnv []string

func (p *pipes) openLifeline() error { return nil }

// HoldLifeline does nothing on Windows, where a child that loses its host lives
// on until it notices by itself.
func HoldLifeline() error { return nil }

func aimLifeline([]*os.File, int) {}

// closeOnExecFrom has nothing to do: handles are inherited only when they are listed.
func closeOnExecFrom(uint) {}
