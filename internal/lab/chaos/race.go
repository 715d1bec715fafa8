//go:build linux && race

package main

// slowdown stretches the bound of a health check: the race detector makes every process
// several times slower.
const slowdown = 5
