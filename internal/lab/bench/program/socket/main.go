// Command socket is the floor of the benchmarks, and nothing else.
package main

import (
	"log"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
)

func main() {
	if err := socket.ServeFrames(); err != nil {
		log.Fatal(err)
	}
}
