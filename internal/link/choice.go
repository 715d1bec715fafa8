package link

import (
	"fmt"
	"os"
)

// What the two ends of a direct connection, which is one without gRPC, agree on with TLS (ALPN).
// TLS has only told them who they are, then: they are two processes of one machine, and the kernel
// has told each the other's pid.
const (
	// LocalProtocol is frames on the socket itself.
	LocalProtocol = "trellis.v1.local"
	// SharedProtocol is frames in memory that both processes have mapped, if the child takes
	// what the host offers; else it is LocalProtocol.
	SharedProtocol = "trellis.v1.shm"
)

// Variable is the environment variable that names the best transport that this process may use: shm,
// which is what is used without it, local or grpc. What cannot be had is replaced by the next one.
// Children have it from their host.
const Variable = "TRELLIS_TRANSPORT"

// Choice is the protocols for a direct connection that this process may use, the best first. There is
// none if its links are to go over gRPC.
func Choice() (protocols []string, err error) {
	switch name := os.Getenv(Variable); name {
	case "", "shm":
		return []string{SharedProtocol, LocalProtocol}, nil
	case "local":
		return []string{LocalProtocol}, nil
	case "grpc":
		return nil, nil
	default:
		return nil, fmt.Errorf("%s: expected shm, local or grpc, got %q", Variable, name)
	}
}
