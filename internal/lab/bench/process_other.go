//go:build !linux

package bench

import "errors"

// readProcess is for Linux only.
func readProcess(int) (processState, error) { return processState{}, errors.ErrUnsupported }
