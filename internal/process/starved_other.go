//go:build !linux

package process

import (
	"os"
	"time"
)

// peakRSS is not known: systems do not agree on its unit.
func peakRSS(*os.ProcessState) int64 { return 0 }

// Starved is how long the process's threads have waited for a processor so far. This
// system does not tell.
func (*Process) Starved() time.Duration { return 0 }
