//go:build !linux

package link

import "net"

// peerPID cannot be told here, so that every link goes over gRPC.
func peerPID(*net.UnixConn) int { return 0 }

// writeNow writes nothing: there is no direct connection on these systems.
func writeNow(int, [][]byte) (int, error) { return 0, nil }
