// Package plain is the gRPC service of the plain go-plugin plugin that the
// benchmarks compare with.
package plain
