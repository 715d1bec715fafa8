// The client and the server of ttrpc that the benchmarks measure.
module github.com/seed-2ba35074/trellis/testdata/ttrpc

go 1.26.8

require (
	github.com/containerd/ttrpc v1.2.10
	github.com/seed-2ba35074/trellis v0.0.0
)

require (
	github.com/containerd/log v0.1.0 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/seed-2ba35074/trellis => ../..
