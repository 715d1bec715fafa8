// Package machines tries what trees over several machines promise: hosts in network namespaces that
// are killed, stopped and cut off, while an actor runs that must never be there twice. Its tests have the
// tag lab, and need root and the command ip.
package machines
