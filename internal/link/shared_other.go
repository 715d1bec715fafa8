//go:build !linux

package link

import "net"

// There is no sealed memory that a peer could be trusted with: the two ends go on with the socket.

// OfferMemory gives the host's end of a connection.
func OfferMemory(sock *net.UnixConn) (Transport, error) { return NewLocal(sock), nil }

// TakeMemory gives the child's end.
func TakeMemory(sock *net.UnixConn) (Transport, error) { return NewLocal(sock), nil }
