// Package etcdembed is a registry (package fleet) whose servers run in the hosts themselves: etcd, embedded, for small fleets that
// nobody operates a cluster for.
//
//	etcdembed.Register()                 // in main; from then on fleet.Open knows the driver "etcdembed"
//	r, err := fleet.Open(ctx, fleet.Settings{Driver: etcdembed.Driver, Dir: "/var/lib/trellis/registry"})
//
// One server keeps no promise beyond its own machine's life; three servers keep all of them while two run. All hosts of a fleet
// that have no server use the driver "etcd" with the addresses of these.
package etcdembed
