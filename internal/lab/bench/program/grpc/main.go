// Command grpc is the measured go-plugin plugin that speaks gRPC, and nothing else.
package main

import "github.com/seed-2ba35074/trellis/internal/lab/bench/goplugin"

func main() { goplugin.ServeGRPC() }
