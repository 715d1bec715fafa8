// Command trellis is the measured plugin of package sdk, and nothing else.
package main

import "github.com/seed-2ba35074/trellis/internal/lab/bench/ours"

func main() { ours.Serve() }
