// Package fleet is what the machines of a tree know of each other: who they are, and who is there.
//
// Every host of a fleet has a name and, in a directory of its own, a certificate for it that the CA of
// the fleet has issued. Two hosts talk only over TLS 1.3, and each asks for the certificate of the
// other one.
//
//	ca, err := fleet.NewCA("/etc/trellis/ca")                  // once, on a machine that is kept safe
//	err = ca.Issue("b", "/tmp/b", fleet.DefaultLifetime)       // ca.pem, host.pem and host.key, to be copied to b
//	credentials, err := fleet.LoadCredentials("/etc/trellis")  // on b, which gives them to host.Options.Fleet
//
// New files in that directory are used from the next connection on; nothing is restarted.
package fleet
