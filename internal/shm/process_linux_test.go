package shm

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// withPeer is a connection with another process, which sends back what comes.
func withPeer(t *testing.T) (*Conn, *exec.Cmd) {
	t.Helper()
	near, far := sockets(t)
	file, err := far.File()
	if err != nil {
		t.Fatal(err)
	}
	peer := exec.CommandContext(t.Context(), os.Args[0])
	peer.Env = append(os.Environ(), peerVar+"=1")
	peer.ExtraFiles = []*os.File{file}
	peer.Stderr = os.Stderr
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	_ = file.Close() // the peer has both
	_ = far.Close()
	c, err := Offer(near)
	if c == nil {
		t.Fatalf("the peer did not take the memory: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, peer
}

func TestBetweenProcesses(t *testing.T) {
	c, peer := withPeer(t)
	const total = 5*Size + 13
	writing := task.Start(func() {
		for at := 0; at < total; {
			n := min(total-at, 1+at%70_000)
			if err := c.Write([][]byte{pattern(at, n)}); err != nil {
				t.Error(err)
				return
			}
			at += n
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, pattern(0, total)) {
		t.Errorf("%d bytes of %d came back, or others, and %v", len(got), total, err)
	}
	writing.Wait()
	if err := peer.Wait(); err != nil {
		t.Error(err)
	}
}

// A peer that is killed, in the middle of whatever it does, ends the connection; and then
// there is no memory any more.
func TestF01_AKilledPeerLeavesNoMemory(t *testing.T) {
	c, peer := withPeer(t)
	b := make([]byte, 4096)
	if err := c.Write([][]byte{{1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(b); err != nil {
		t.Fatal(err)
	}
	if !mapped(t) {
		t.Fatal("the memory is not found where it must be")
	}
	writing := task.Start(func() { // until the peer does not read any more, and this end is closed
		for err := error(nil); err == nil; {
			err = c.Write([][]byte{b})
		}
	})
	if err := peer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; {
		_, err = c.Read(b)
	}
	_ = peer.Wait() // killed
	_ = c.Close()
	writing.Wait()
	if mapped(t) {
		t.Error("the memory is still mapped")
	}
}

// mapped reports whether this process has such a memory, or a descriptor of one.
func mapped(t *testing.T) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), "memfd:trellis")
}
