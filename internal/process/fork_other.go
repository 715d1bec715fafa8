//go:build !linux

package process

import (
	"context"
	"os"
)

// execute has nothing to do: the path is opened a second time, since there is
// no way to execute a descriptor.
func (f *fork) execute(*os.File) {}

// do creates the process.
func (f *fork) do(ctx context.Context) (*os.Process, error) { return f.now(ctx) }
