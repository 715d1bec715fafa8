// Package shm carries bytes between two processes of one machine through memory that both have
// mapped. It knows nothing of frames and actors. It is machinery of this project and promises
// no stable API.
//
// A [Conn] begins with a unix socket whose two ends know each other. One end offers the memory
// ([Offer]), the other takes it ([Take]) or declines. From then on
//
//	conn.Write(batch)       // goes through the memory; waits while the peer does not read
//	conn.WriteNow(batch)    // writes what there is room for
//	conn.WriteAside(batch)  // goes over the socket, which no amount of data can fill
//	conn.Read(b)            // gives all of it, in the order in which it was written
//
// The socket stays for three things: what is written aside, the bell for a peer that
// sleeps for long, and the news that the peer is gone.
//
// One goroutine reads all the time, the reader: it waits in [Conn.Idle], and then reads.
// Meanwhile somebody who waits for what comes may read instead, the leader, and so need not
// be woken by the reader:
//
//	if conn.Lead() {        // nobody else reads, and the peer rings no bell
//		conn.Write(request)
//		conn.Watch(stop)    // waits on this thread, for a moment
//		conn.ReadNow(b)
//		conn.Depart(false)  // the reader reads again
//	}
//
// # The memory
//
// It is a memfd of [Bytes], sealed: neither end can make it smaller, so that no access to
// it ever fails. All numbers are in the order of the processor's bytes, as both ends run on one.
//
//	     0  controls of the direction from the end that offered to the one that took
//	   512  controls of the direction back
//	  4096  the ring of the first direction: 256 KiB
//	266240  the ring of the second
//
// Controls of a direction, each of them on a cache line of its own:
//
//	  0  uint64, by the writer: how many bytes it has ever put into the ring
//	  8  uint64, by the writer: how many records it has ever sent aside
//	 64  uint64, by the reader: how many bytes it has ever taken out of the ring
//	128  uint32: whether the reader sleeps: 0 no, 1 on this word (futex), 2 on the socket
//	192  uint32: whether the writer sleeps: 0 no, 1 on this word, until there is room
//
// The byte number n lies in the ring at n modulo its size. Whoever sleeps sets its word, and looks
// once more before it does; whoever has moved on puts 0 in its place and wakes it, with
// futex(2), or with a byte 0 on the socket, the bell.
//
// # The socket
//
// Each direction of the socket carries bells, which are a byte 0, and records: a byte 1,
// the place in the ring's stream of bytes at which the record belongs (uint64), its length
// (uint32), and its bytes. A writer counts a record when it has written it, and puts
// nothing more into the ring before that. A reader that sees the count looks for the record
// before it goes beyond what it knew to be free of one. So what is read has the order in
// which it was written.
//
// # A peer that cannot be trusted
//
// It may write whatever it likes to all of the memory, at any time. So each end keeps its
// own positions in memory of its own, and never reads them back. What the peer says of
// itself is loaded once and used only if it can be true; else [ErrPeer] ends the
// connection. Bytes are copied out once and looked at only then. Whoever sleeps does so for
// a bounded time, or on the socket. A peer can lie about sleeping, which makes this end's
// writes slower by a system call each, and it may wake this end in vain. After some of
// those this end sleeps on the socket only, and writes all aside: the connection is what it
// would be without memory.
package shm
