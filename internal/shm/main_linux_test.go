package shm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// peerVar makes this program the peer of a test, which has given it a socket as its descriptor 3.
const peerVar = "TRELLIS_SHM_TEST_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerVar) == "" {
		goleak.VerifyTestMain(m)
	}
	if err := echo(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// echo takes the memory, and sends back whatever comes.
func echo() error {
	sock, err := net.FileConn(os.NewFile(3, "socket"))
	if err != nil {
		return err
	}
	c, err := Take(sock.(*net.UnixConn))
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if errors.Is(err, io.EOF) {
			return c.CloseWrite()
		}
		if err != nil {
			return err
		}
		if err := c.Write([][]byte{b[:n]}); err != nil {
			return err
		}
	}
}
