//go:build linux && !race

package main

// slowdown stretches the bound of a health check; see race.go.
const slowdown = 1
