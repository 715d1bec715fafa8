// Package launch is the border of a host: what package host asks of a program that it starts,
// and nothing more. All that supervises is on the host's side of it: states, restarts, health
// checks, the boot, the link's dialogs, the steps of a teardown.
//
//	program := launcher(launch.Order{ID: id, Command: spec.Command, …})
//	err := program.Start(ctx)               // executed, and connected to
//	err = program.Listen(ctx, boot, take)   // take is given the transport of its link
//	answer, err := program.Boot(ctx, boot)  // it is the actor now that boot says
//	status, err := program.Check(ctx)       // asked again and again
//	<-program.Process().Dead()
//	program.Release()
//
// There are two that stand beyond it: a process that go-plugin shakes hands with, which is
// package host's own and what every host has, and a plugin that runs inside the process of a
// test, which package trellistest hands over in a ctx ([With]).
package launch
