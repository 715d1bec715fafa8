//go:build !unix

package fleet

import "io/fs"

// private is not known here, where a file's mode says nothing of who may read it.
func private(fs.FileInfo) bool { return true }
