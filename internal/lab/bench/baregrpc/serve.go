// Package baregrpc is the program of the benchmarks that speaks gRPC as fast as it gets:
// on a unix socket, without TLS and without go-plugin.
package baregrpc

import (
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
)

// Serve is the program's main.
func Serve() error {
	server := grpc.NewServer()
	plain.RegisterPlainServer(server, &plain.Server{})
	return socket.Serve(server.Serve)
}
