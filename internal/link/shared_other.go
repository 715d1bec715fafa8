//go:build !linux

package link

import "net"

// There is no sealed memory that a peer could be trusted with: the two ends go on with the socket.

func offerMemory(sock *net.UnixConn) (Transport, error) { return NewLocal(sock), nil }
func takeMemory(sock *net.UnixConn) (Transport, error)  { return NewLocal(sock), nil }
