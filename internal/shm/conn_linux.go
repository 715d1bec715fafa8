package shm

import (
	"net"
	"sync/atomic"
	"time"
)

// How long an end waits for its peer at one go, before it looks again or waits in another way.
const (
	// dozeBound is how long a reader keeps a thread waiting, which is quicker to wake than a
	// goroutine that waits on the socket. After it the connection costs no thread.
	dozeBound = time.Millisecond
	// roomBound is for a writer that waits for room, on a thread. A peer that has made room wakes
	// it; this is for one that does not.
	roomBound = 100 * time.Millisecond
	// restBound is after how long without a write a ring's memory is given back.
	restBound = time.Second
)

// Conn is one end of a connection. One goroutine at a time may read, the reader or a leader, and
// one may write; Close may be called at any time from anywhere, and makes both return soon. Its
// memory is unmapped when it is closed and neither reads or writes any more, which is what users
// counts.
type Conn struct {
	sock   *net.UnixConn
	mem    *memory
	in     incoming
	out    outgoing
	users  atomic.Int32 // of the memory: 1 for being open, and 1 for each call
	closed atomic.Bool
	// wary is set for good when the peer has done what no sound one does but harms only itself by:
	// this end then neither dozes nor writes into the ring.
	wary atomic.Bool
}

// newConn makes the end that offered a memory, or the one that took it.
func newConn(sock *net.UnixConn, mem *memory, offered bool) *Conn {
	from, to := 0, 1
	if offered {
		from, to = 1, 0
	}
	c := &Conn{sock: sock, mem: mem}
	c.users.Store(1)
	c.in.begin(c, mem.ctl[from], mem.rings[from])
	c.out.begin(c, mem.ctl[to], mem.rings[to])
	return c
}

// Read gives what the peer has written, in the order in which it was, and waits until there is
// something. After the peer's CloseWrite, or its death, comes what was written before, and then
// an error: io.EOF if it was between two writes aside.
func (c *Conn) Read(b []byte) (int, error) {
	if !c.enter() {
		return 0, net.ErrClosed
	}
	defer c.leave()
	return c.in.read(b)
}

// Idle is for the reader before it reads. It waits until there is something, and lets others Lead
// meanwhile. soon says that this is likely to be at once.
func (c *Conn) Idle(soon bool) {
	if c.enter() {
		defer c.leave()
		c.in.idle(soon, false)
	}
}

// Lead reports whether its caller may read from now on, until Depart: only while the reader is in
// Idle, and nobody else leads. It is never to be while the peer is slow, or cannot be relied on.
// The leader has the memory until Depart. One goroutine at a time may ask.
func (c *Conn) Lead() bool {
	if !c.enter() {
		return false
	}
	if c.in.lead() {
		return true
	}
	c.leave()
	return false
}

// Watch waits for the leader, for a moment at most, and reports whether there is something. It asks
// stop when it is about to sleep, and does not if that reports true.
func (c *Conn) Watch(stop func() bool) (some bool) { return c.in.watch(stop) }

// ReadNow is Read for the leader, and does not wait. It gives no bytes, too, where only the reader
// can go on.
func (c *Conn) ReadNow(b []byte) (int, error) { return c.in.readNow(b) }

// Depart ends what Lead has begun. The reader goes on if there is something to read, or it must.
func (c *Conn) Depart(must bool) {
	defer c.leave()
	c.in.depart(must)
}

// Write writes all of a batch. It waits while the peer does not read.
func (c *Conn) Write(batch [][]byte) error {
	if !c.enter() {
		return net.ErrClosed
	}
	defer c.leave()
	if c.wary.Load() {
		return c.out.writeAside(batch)
	}
	_, err := c.out.write(batch, true)
	return err
}

// WriteNow writes what there is room for, and says how many bytes that were.
func (c *Conn) WriteNow(batch [][]byte) (int, error) {
	if !c.enter() {
		return 0, net.ErrClosed
	}
	defer c.leave()
	if c.wary.Load() {
		return 0, nil
	}
	return c.out.write(batch, false)
}

// WriteAside writes a batch to the socket, which no data can fill. The peer reads it behind
// what was written before. It waits while the peer reads neither.
func (c *Conn) WriteAside(batch [][]byte) error {
	if !c.enter() {
		return net.ErrClosed
	}
	defer c.leave()
	return c.out.writeAside(batch)
}

// CloseWrite ends this direction; the peer reads everything that was written.
func (c *Conn) CloseWrite() error { return c.sock.CloseWrite() }

// Close ends both directions at once.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	err := c.sock.Close()
	c.in.ctl.reader.rise() // what sleeps in this process, on words of shared memory
	c.out.ctl.writer.rise()
	c.out.rest.Stop()
	c.leave()
	return err
}

// enter reports whether the memory is there; it stays until leave.
func (c *Conn) enter() bool {
	for {
		n := c.users.Load()
		if n == 0 || c.closed.Load() {
			return false
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Conn) leave() {
	if c.users.Add(-1) == 0 {
		c.mem.unmap()
	}
}
