package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// sockets are the two ends of a unix socket.
func sockets(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*net.UnixConn{}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close() // conn has a descriptor of its own
		ends[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { _ = conn.Close() })
	}
	return ends[0], ends[1]
}

// pair is a connection inside this process.
func pair(t testing.TB) (a, b *Conn) {
	t.Helper()
	sa, sb := sockets(t)
	offering := task.Start(func() {
		var err error
		if a, err = Offer(sa); a == nil {
			t.Errorf("the offer was declined: %v", err)
		}
	})
	b, err := Take(sb)
	offering.Wait()
	if b == nil || a == nil {
		t.Fatalf("the offer was not taken: %v", err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

// pattern is n bytes of a stream, from a position on.
func pattern(at, n int) []byte {
	b := make([]byte, 0, n+len(period))
	for b = append(b, period[at%len(period):]...); len(b) < n; {
		b = append(b, period...)
	}
	return b[:n]
}

// period is what the stream repeats. Its length divides no size of anything here.
var period = func() (b []byte) {
	for i := range 251 {
		b = append(b, byte(i))
	}
	return b
}()

func TestBytesComeInOrder(t *testing.T) {
	a, b := pair(t)
	sizes := []int{1, 0, 63, 4096, published, published + 1, Size - 1, Size + 1, 2*Size + 7, 1}
	total := 0
	for _, n := range sizes {
		total += 2 * n
	}
	send := func(c *Conn) func() {
		return func() {
			at := 0
			for i, n := range sizes {
				batch := [][]byte{pattern(at, n/3), pattern(at+n/3, n-n/3)}
				at += n
				if err := c.Write(batch); err != nil {
					t.Error(err)
				}
				batch = [][]byte{pattern(at, n)}
				at += n
				write := c.Write
				if i%2 == 0 {
					write = c.WriteAside // it is read behind what was written before, and before what comes
				}
				if err := write(batch); err != nil {
					t.Error(err)
				}
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		}
	}
	senders := []*task.Worker{task.Start(send(a)), task.Start(send(b))}
	for _, c := range []*Conn{a, b} {
		reading := task.Start(func() {
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, pattern(0, total)) {
				t.Errorf("%d bytes of %d, or others, and %v", len(got), total, err)
			}
		})
		senders = append(senders, reading)
	}
	for _, w := range senders {
		w.Wait()
	}
}

// What there is no room for is left, and nobody waits.
func TestWriteNowDoesNotWait(t *testing.T) {
	a, b := pair(t)
	n, err := a.WriteNow([][]byte{pattern(0, 1000), pattern(1000, Size)})
	if n != Size || err != nil {
		t.Fatalf("%d bytes went into an empty ring, and %v", n, err)
	}
	if n, err := a.WriteNow([][]byte{{1}}); n != 0 || err != nil {
		t.Errorf("%d bytes went into a full ring, and %v", n, err)
	}
	got := make([]byte, Size)
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, pattern(0, Size)) {
		t.Errorf("other bytes, or %v", err)
	}
	if n, err := a.WriteNow([][]byte{{1}}); n != 1 || err != nil {
		t.Errorf("%d bytes of one, and %v", n, err)
	}
}

// A full ring does not hold up what goes aside, which a reader gets behind what was there.
func TestAsidePassesAFullRing(t *testing.T) {
	a, b := pair(t)
	if n, _ := a.WriteNow([][]byte{pattern(0, Size)}); n != Size {
		t.Fatal("the ring is not empty")
	}
	if err := a.WriteAside([][]byte{{1}, {2, 3}}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, Size+3)
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got[Size:], []byte{1, 2, 3}) {
		t.Errorf("%v behind the ring, and %v", got[Size:], err)
	}
}

// Close makes whoever waits return: a reader in each way of waiting, a writer before a full ring.
func TestCloseEndsWaiting(t *testing.T) {
	for name, wait := range map[string]func(a, b *Conn) error{
		"reading": func(a, _ *Conn) error { _, err := a.Read(make([]byte, 1)); return err },
		"reading on the socket": func(a, _ *Conn) error {
			a.wary.Store(true)
			_, err := a.Read(make([]byte, 1))
			return err
		},
		"writing":       func(a, _ *Conn) error { return a.Write([][]byte{make([]byte, 2*Size)}) },
		"writing aside": func(a, _ *Conn) error { return a.WriteAside([][]byte{make([]byte, 8<<20)}) },
	} {
		for _, own := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				a, b := pair(t)
				waiting := task.Start(func() {
					if err := wait(a, b); err == nil {
						t.Error("it did not wait")
					}
				})
				if own {
					_ = a.Close()
				} else { // as the link does when its reader finds the peer gone
					_ = b.Close()
					if _, err := a.sock.Read(make([]byte, 1)); name == "writing" && err != nil {
						_ = a.Close()
					}
				}
				waiting.Wait()
			})
		}
	}
}

// What a peer wrote before it ended is read, and then its end.
func TestEndOfThePeer(t *testing.T) {
	a, b := pair(t)
	_ = a.Write([][]byte{{1, 2}})
	_ = a.WriteAside([][]byte{{3}})
	_ = a.Write([][]byte{{4}})
	_ = a.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("%v, and %v", got, err)
	}
	if n, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d bytes from a closed connection, and %v", n, err)
	}
	if err := a.Write([][]byte{{1}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written to a closed connection: %v", err)
	}
}

// resident is how many pages of a ring exist.
func resident(t *testing.T, ring []byte) (pages int) {
	t.Helper()
	in := make([]byte, len(ring)/os.Getpagesize())
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&ring[0])), uintptr(len(ring)), uintptr(unsafe.Pointer(&in[0]))); e != 0 {
		t.Fatal(e)
	}
	for _, page := range in {
		pages += int(page & 1)
	}
	return pages
}

// A ring has no memory before it is used, and none some time after.
func TestMemoryIsGivenBack(t *testing.T) {
	a, b := pair(t)
	if n := resident(t, a.out.ring); n != 0 {
		t.Errorf("%d pages exist before the first byte", n)
	}
	_ = a.Write([][]byte{pattern(0, Size/2)})
	a.out.giveBack()
	a.out.giveBack()
	if n := resident(t, a.out.ring); n == 0 {
		t.Error("the memory was given back with bytes that were not read")
	}
	got := make([]byte, Size/2)
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, pattern(0, Size/2)) {
		t.Errorf("other bytes, or %v", err)
	}
	a.out.giveBack()
	if n := resident(t, a.out.ring); n != 0 {
		t.Errorf("%d pages exist when all has been read", n)
	}
	_ = a.Write([][]byte{{7}})
	a.out.giveBack() // something was written since the last time
	if n := resident(t, a.out.ring); n == 0 {
		t.Error("the memory of a ring in use was given back")
	}
	if _, err := io.ReadFull(b, got[:1]); err != nil || got[0] != 7 {
		t.Errorf("%d was read, and %v", got[0], err)
	}
}

// Whoever reads nothing for a while waits on the socket, without a thread, and is
// woken from there.
func TestAnIdleReaderSleepsOnTheSocket(t *testing.T) {
	a, b := pair(t)
	for i := range byte(3) {
		reading := task.Start(func() {
			if got := make([]byte, 2); true {
				if n, err := b.Read(got); n != 1 || got[0] != i || err != nil {
					t.Errorf("%d bytes, %v, %v", n, got, err)
				}
			}
		})
		for b.in.ctl.reader.word.Load() != asleep {
			runtime.Gosched() // it does so by itself
		}
		write := a.Write
		if i == 1 {
			write = a.WriteAside // which is its own bell
		}
		if err := write([][]byte{{i}}); err != nil {
			t.Error(err)
		}
		reading.Wait()
	}
}

// A reader may have read a record, and be asleep again, before the record is counted. It is
// still to be woken by what comes next.
func TestARecordIsCountedLate(t *testing.T) {
	a, b := pair(t)
	head := append([]byte{record}, make([]byte, recordHead-1)...)
	binary.NativeEndian.PutUint32(head[9:], 1)
	if _, err := a.sock.Write(append(head, 7)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if n, err := b.Read(got); n != 1 || got[0] != 7 || err != nil {
		t.Fatalf("%d bytes, %v, and %v", n, got, err)
	}
	reading := task.Start(func() {
		if n, err := b.Read(got); n != 1 || got[0] != 8 || err != nil {
			t.Errorf("%d bytes, %v, and %v", n, got, err)
		}
	})
	for b.in.ctl.reader.word.Load() != asleep {
		runtime.Gosched()
	}
	a.out.countAside()
	if err := a.Write([][]byte{{8}}); err != nil {
		t.Error(err)
	}
	reading.Wait()
}

// Only memory on which this end can rely is taken; else both go on without.
func TestOffersThatAreDeclined(t *testing.T) {
	memfd := func(size int64, seals int) []int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		return []int{fd}
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // and not when it is garbage, while descriptors are counted
	if err := file.Truncate(Bytes); err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	many := []int{}
	for range 5 {
		many = append(many, memfd(Bytes, seals)...)
	}
	for name, fds := range map[string][]int{
		"no descriptor":               nil,
		"a file":                      {int(file.Fd())},
		"a pipe":                      {pipe[0]},
		"two descriptors":             append(memfd(Bytes, seals), memfd(Bytes, seals)...),
		"more than there is room for": many,
		"not sealed":                  memfd(Bytes, 0),
		"may shrink":                  memfd(Bytes, unix.F_SEAL_GROW|unix.F_SEAL_SEAL),
		"may be sealed later":         memfd(Bytes, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK),
		"cannot be written":           memfd(Bytes, seals|unix.F_SEAL_WRITE),
		"too small":                   memfd(Bytes-1, seals),
		"too large":                   memfd(Bytes+1, seals),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := sockets(t)
			before := descriptors(t)
			if _, _, err := a.WriteMsgUnix([]byte{yes}, unix.UnixRights(fds...), nil); err != nil {
				t.Fatal(err)
			}
			if c, err := Take(b); c != nil || err != nil {
				t.Errorf("taken: %v, %v", c, err)
			}
			var answer [1]byte
			if n, err := a.Read(answer[:]); n != 1 || answer[0] != no || err != nil {
				t.Errorf("answered %d, and %v", answer[0], err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors were open before, %d after", before, after)
			}
		})
	}
}

// Where the host can have no memory, both ends go on with the socket, as it was.
func TestWithoutMemoryTheSocketIsAsItWas(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: Bytes - 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}()
	a, b := sockets(t)
	before, stdin := descriptors(t), standardInput(t)
	offering := task.Start(func() {
		if c, err := Offer(a); c != nil || err != nil {
			t.Errorf("offered: %v, %v", c, err)
		}
	})
	if c, err := Take(b); c != nil || err != nil {
		t.Errorf("taken: %v, %v", c, err)
	}
	offering.Wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors were open before, %d after", before, after)
	}
	if now := standardInput(t); now != stdin {
		t.Errorf("descriptor 0 was %s, and is %s", stdin, now)
	}
	if _, err := a.Write([]byte("what follows")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 20)
	if n, err := b.Read(got); string(got[:n]) != "what follows" || err != nil {
		t.Errorf("%q, and %v", got[:n], err)
	}
}

// standardInput says what descriptor 0 is, which whoever closes a wrong one closes most likely.
func standardInput(t *testing.T) string {
	t.Helper()
	file, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// descriptors counts those that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestPeerThatBreaksTheOffer(t *testing.T) {
	a, b := sockets(t)
	if _, err := a.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if c, err := Take(b); c != nil || err == nil {
		t.Errorf("an offer that is none was taken: %v", err)
	}
	a, b = sockets(t)
	if _, err := b.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if c, err := Offer(a); c != nil || err == nil {
		t.Errorf("an answer that is none was taken: %v", err)
	}
	a, b = sockets(t)
	if _, err := b.Write([]byte{no}); err != nil {
		t.Fatal(err)
	}
	if c, err := Offer(a); c != nil || err != nil {
		t.Errorf("declined: %v, %v", c, err)
	}
}
