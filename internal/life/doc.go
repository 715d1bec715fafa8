// Package life is an actor that its parent boots, from the boot to the end, without the process
// around it: package sdk has that, and package trellistest runs actors that have none. It is
// machinery of this project and promises no stable API.
//
//	l := life.New(life.Config{Endpoints: endpoints, Exit: exit})
//	answer, err := l.Boot(ctx, request, connect) // serves from now on
//	l.Stop(cause, nil)                           // or the parent asks for the end, or the link is lost
//	l.Wait()                                     // Exit has returned
//
// The parent asks for the end by calling the endpoint [wire.CancelActor].
package life
