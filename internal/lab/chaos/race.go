//go:build linux && race

package main

// slowdown stretches the bounds: the race detector makes every process several
// times slower.
const slowdown = 5
