//go:build !linux

package process

import (
	"context"
	"errors"
	"os"
	"time"
)

// What only Linux can do, and what takes its place.

// execute does nothing: the path is opened a second time, since there is no way to
// execute a descriptor.
func (f *fork) execute(*os.File) {}

// do creates the process.
func (f *fork) do(ctx context.Context) (*os.Process, error) { return f.now(ctx) }

func openWatch(int) *os.File { return nil }

// adoptOrphans is for Linux, where orphans come to others than PID 1, and where hosts
// are PID 1.
func adoptOrphans() {}

// check refuses all limits: there is no way to set those of another process.
func (l Limits) check() error {
	if l != (Limits{}) {
		return errors.New("limits: only Linux has them; remove them")
	}
	return nil
}

func (Limits) apply(int) error              { return nil }
func (Limits) hit(Exit, usage, bool) string { return "" }

// peakRSS is not known: systems do not agree on its unit.
func peakRSS(*os.ProcessState) int64 { return 0 }

func ownPeak() int64 { return 0 }

// starved is not known.
func starved(int) time.Duration { return 0 }

// loadOf is not known, nor is the processor time in it.
func loadOf(int) Load         { return Load{} }
func cpuOf(int) time.Duration { return 0 }

// doing is not known.
func doing(int) (state string, threads int) { return "", 0 }
