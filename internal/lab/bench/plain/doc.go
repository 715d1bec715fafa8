// Package plain is the gRPC service of the programs that the benchmarks compare with:
// a plain go-plugin plugin, and a server without go-plugin and TLS.
package plain
