// Command baregrpc is the measured gRPC server without go-plugin and TLS, and nothing else.
package main

import (
	"log"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/baregrpc"
)

func main() {
	if err := baregrpc.Serve(); err != nil {
		log.Fatal(err)
	}
}
