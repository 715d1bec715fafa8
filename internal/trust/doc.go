// Package trust decides who may speak with whom over the sockets of a tree. A host is the
// authority for its own children: it gives each process a certificate whose URI is the
// process's identity, and each end of a connection accepts exactly one identity, that of
// the other end. None of it is ever on disk or in an environment.
//
//	authority, err := trust.NewAuthority("host@1f0c")   // once, by the host
//	text, err := authority.Admit("child@9a3e")          // for each child: its identity
//	file, err := trust.Pipe(text)                       // inherited by the child
//	config := authority.Host("child@9a3e")              // the host's end of the connection
//
//	config, err := trust.Inherited()                    // the child's end, read from the pipe
//
// The key of the authority lives in the host's memory, and each child's in the child's: a
// host that is gone can vouch for nobody, and a child cannot admit anybody.
package trust
