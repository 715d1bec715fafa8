//go:build linux && !race

package main

// slowdown stretches the bounds; see race.go.
const slowdown = 1
