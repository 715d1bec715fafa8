// Package socket runs programs that listen on a unix socket for whoever started them, and
// has the one that is the floor of the benchmarks: frames of a length and that many bytes,
// no encryption, no multiplexing, a connection for each caller.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/seed-2ba35074/trellis/internal/task"
)

const (
	pathVar = "TRELLIS_BENCH_SOCKET"
	ready   = "listening"
)

// Serve is the main of a program that [Start] has started: it serves connections with a
// function that returns when the listener is closed. It ends when its input does.
func Serve(serve func(net.Listener) error) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", os.Getenv(pathVar))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, ready); err != nil {
		return errors.Join(err, listener.Close())
	}
	var failed error
	server := task.Start(func() {
		if failed = serve(listener); errors.Is(failed, net.ErrClosed) {
			failed = nil
		}
	})
	_, err = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(err, listener.Close())
	server.Wait()
	return errors.Join(err, failed)
}

// ServeFrames is the main of the floor. A connection begins with a frame: empty to have
// every frame sent back, else the size of the frames to be sent without end.
func ServeFrames() error {
	return Serve(func(listener net.Listener) error {
		for { // what is accepted is left to the end of the process
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			task.Start(func() { _ = NewFramer(conn).serve() }) // ends when the other end closes
		}
	})
}
