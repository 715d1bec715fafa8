// Package fabric is the connections between hosts on different machines: TCP with TLS 1.3, at both ends of
// which is a host of the same fleet. It is machinery of this project and promises no stable API.
//
//	l, err := fabric.Listen("10.0.0.1:7077", credentials)
//	conn, err := l.Accept()                                            // a host that wants to join: conn.Host()
//	tunnels, cancel := l.Expect("b", token)                            // or one connection that is expected
//
//	conn, err := fabric.Dial(ctx, credentials, "10.0.0.1:7077", "a")   // the other end
//	conn, err := fabric.DialTunnel(ctx, credentials, "10.0.0.1:7077", "a", token)
//
// Behind its handshake the end that has dialled says in a greeting of a fixed size what it wants, and
// the other one answers with a byte that it may go on: in TLS 1.3 the end that dials has finished before the
// other one has seen its certificate. Whoever is not a host of the fleet gets no byte of an answer but TLS's
// alert, and has cost one of a bounded number of places, for a bounded time.
//
// A connection that says nothing for a second is asked by the kernel whether it is still there, and one whose
// bytes are not acknowledged for two is broken. So a link that was cut ends within about three seconds at both
// ends, whatever is sent.
package fabric
