//go:build !linux

package process

import "os"

func openWatch(int) *os.File { return nil }
