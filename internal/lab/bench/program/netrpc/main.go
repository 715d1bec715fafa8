// Command netrpc is the measured go-plugin plugin that speaks net/rpc, and nothing else.
package main

import "github.com/seed-2ba35074/trellis/internal/lab/bench/goplugin"

func main() { goplugin.ServeNetRPC() }
