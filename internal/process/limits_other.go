//go:build !linux

package process

import "errors"

// check refuses all limits: there is no way to set another process's.
func (l Limits) check() error {
	if l != (Limits{}) {
		return errors.New("limits: only Linux has them; remove them")
	}
	return nil
}

func (Limits) apply(int) error                      { return nil }
func (Limits) hitBySignal(Exit, usage, bool) string { return "" }
