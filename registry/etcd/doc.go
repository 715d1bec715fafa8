// Package etcd is a registry (package fleet) that is kept by etcd, version 3.4 or later.
//
//	etcd.Register()                      // in main; from then on fleet.Open knows the driver "etcd"
//	r, err := fleet.Open(ctx, fleet.Settings{Driver: etcd.Driver, Endpoints: []string{"10.0.0.1:2379"}})
//
// A membership is one lease, and each name that it holds is a key with that lease: etcd deletes all of them at once.
// A name is taken by a transaction that succeeds if nobody has it; its epoch is the revision of that
// transaction. Every request is linearizable, and has a timeout of its own.
//
// A renewal asks for three things: that the lease lives on, that all names of the membership are there with
// their epochs, and that the cluster is the same and has not gone back. So a registry that was
// restored from an earlier state is noticed, and all that were members of the later one join again.
package etcd
