package shm

import (
	"fmt"
	"io"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// There and back between two goroutines, each of which waits for the other.
func BenchmarkRoundTrip(b *testing.B) {
	near, far := pair(b)
	echo := task.Start(func() { // ends when near is closed
		buf := make([]byte, 4096)
		for n, err := far.Read(buf); err == nil; n, err = far.Read(buf) {
			if far.Write([][]byte{buf[:n]}) != nil {
				return
			}
		}
	})
	message, buf := [][]byte{make([]byte, 64)}, make([]byte, 4096)
	for b.Loop() {
		if err := near.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, buf[:64]); err != nil {
			b.Fatal(err)
		}
	}
	_ = near.Close()
	echo.Wait()
}

// One way, as fast as the reader reads.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			near, far := pair(b)
			reading := task.Start(func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, far, make([]byte, 64<<10)) // ends with far
			})
			message := [][]byte{make([]byte, size)}
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := near.Write(message); err != nil {
					b.Fatal(err)
				}
			}
			_ = near.CloseWrite()
			reading.Wait()
		})
	}
}

// The same work over the socket alone.
func BenchmarkSocketRoundTrip(b *testing.B) {
	near, far := sockets(b)
	echo := task.Start(func() { // ends when near is closed
		buf := make([]byte, 4096)
		for n, err := far.Read(buf); err == nil; n, err = far.Read(buf) {
			if _, err := far.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	message := make([]byte, 64)
	for b.Loop() {
		if _, err := near.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, message); err != nil {
			b.Fatal(err)
		}
	}
	_ = near.Close()
	echo.Wait()
}
