// Package link is one connection between two actors. It carries frames in both directions,
// control before data, many to a packet, and knows nothing of what they mean. It is machinery
// of this project and promises no stable API.
//
// # The life of a link
//
//	// The parent, on the listener that go-plugin's broker has made:
//	links := link.NewServer(func(t link.Transport) <-chan struct{} { ... })
//	server := grpc.NewServer(grpc.Creds(links.Credentials(tls, pid)), ...)
//
//	// The child:
//	t, err := link.DialDirect(ctx, network, address, tls, pid) // the socket itself
//	t, err := link.Dial(ctx, conn)                             // or a stream of gRPC
//
//	// Both:
//	l := link.New(t, link.Config{Self: self})
//	l.Start(receiver)  // says HELLO; the receiver gets every frame from now on
//	<-l.Greeted()      // the peer's HELLO is in
//	l.Send(link.Control, frame)
//	l.Close(reason)    // what is queued, then BYE
//	<-l.Done()         // the peer has done the same, or the link is lost: Err says which
//
// # Transports
//
// A [Transport] carries packets. Two processes that the kernel has told each other's pid
// ([DialDirect], [Server.Credentials]) use a unix socket as it is, or memory that both have mapped
// beside it; everybody else has a stream of gRPC ([Dial], [Server.Open]). [Choice] says what this
// process may use.
//
// # Out
//
// Frames wait in an outbox, encoded, in one of two queues ([Lane]). One goroutine at a time
// writes: the reader behind the packet that it has handled, whoever uses [Link.Promptly], or
// else the writer, which alone waits for the peer. Whoever writes empties control
// first, and some data always: a frame of data never overtakes control that was put before it,
// and control that comes later does not hold it up for ever. Large payloads go in pieces, so
// that control passes between them. Send never blocks. Whoever can wait asks [Link.Congested]
// before, and hears through [Receiver] when that is over; a peer that does not read is cut off
// in the end.
//
// # In
//
// The reader puts payloads in pieces together again, one at a time, and gives each frame to
// the [Receiver], which must not block, except in a [Guest]: if that does, the reading is handed over
// to another goroutine ([Turn]). What breaks the protocol is dropped, and counted as a
// violation: the 32nd ends the link, and the peer is told why.
package link
