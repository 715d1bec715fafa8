// Package control is how other programs join a host: at a socket, those of the same user, or from other
// machines, over connections that others have made. It is machinery of this project and promises no
// stable API.
//
//	l, err := control.Listen("default")   // a host; [ErrServed] if there is one already
//	caller, err := l.Accept()             // somebody of this user's
//	hello, err := caller.Hear(ctx)        // who it wants to be, and what it serves
//	err = caller.Admit(ctx, boot)         // who it is; or caller.Refuse(why)
//
//	conn, boot, err := control.Join(ctx, "default", hello) // the program; [ErrNoHost] if there is none
//
//	caller := control.NewCaller(conn, "b")                 // a host: a program on the machine b
//	transport, boot, err := control.JoinOver(ctx, conn, hello) // that program
//
//	transport, err := caller.Accept(ctx)                   // a host: the connection that it waits for, with caller.Token
//	transport, err := control.Tunnel(ctx, conn, token)     // whoever has made that
//
// Each of the two sends one greeting, and after them the connection carries the frames of a
// link. Who may come to the socket is up to the kernel: the socket lies in a folder that is closed to
// others, and either end asks whose process the other one is. A name is one program's as
// long as that holds the lock beside it (package rundir), so that a socket which was left
// behind is found to be nobody's, and nothing that somebody uses is ever taken over.
package control
