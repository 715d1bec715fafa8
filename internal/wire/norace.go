//go:build !race

package wire

// overwritten says that this program has the race detector.
const overwritten = false
