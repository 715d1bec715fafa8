// Package fabric is the connections between hosts on different machines: TCP with TLS 1.3, at both ends of
// which is a host of the same fleet. It is machinery of this project and promises no stable API.
//
//	l, err := fabric.Listen("10.0.0.1:7077", credentials)
//	conn, err := l.Accept()                                            // a host that has connected: conn.Host()
//
//	conn, err := fabric.Dial(ctx, credentials, "10.0.0.1:7077", "a")   // the other end
//
// Behind the handshake the end that was dialled sends a byte, which says that the other one was let in: in TLS 1.3
// that has finished before its certificate was seen. What it wants is said by what follows (package control). Whoever is not
// a host of the fleet gets no byte of an answer but TLS's alert, and has cost one of a bounded number of places, for a bounded time.
//
// A connection that says nothing for a second is asked by the kernel whether it is still there, and one whose
// bytes are not acknowledged for two is broken. So a link that was cut ends within about three seconds at both
// ends, whatever is sent.
package fabric
