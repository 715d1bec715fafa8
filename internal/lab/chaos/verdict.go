//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The classes of errors.
const (
	classDied      = "died"
	classUnhealthy = "unhealthy"
	classLost      = "lost"
	classCancelled = "cancelled"
	classLimit     = "limit"
	classDown      = "down"
	classClosing   = "closing"
	classUnacked   = "unacked"
	classStart     = "start"
	classNothing   = "nothing" // a nil error where there has to be one
	classCorrupt   = "corrupt" // what came is not what was sent
	classUntyped   = "untyped"
)

var errCorrupt = errors.New("the echo is not what was sent")

// classify sorts an error by what errors.As and errors.Is say, as a program would
// that has to decide what to do.
func classify(err error) Verdict {
	if err == nil {
		return Verdict{Class: classNothing}
	}
	class, who := sort(err)
	return Verdict{Class: class, Who: who, Text: err.Error(), Story: fmt.Sprintf("%+v", err)}
}

func sort(err error) (class, who string) {
	if e, ok := errors.AsType[*fault.RestartLimit](err); ok {
		return classLimit, e.Supervisor.Short()
	}
	if e, ok := errors.AsType[*fault.ActorDied](err); ok {
		return lost(err, classDied), e.ID.Short()
	}
	if e, ok := errors.AsType[*fault.ActorUnhealthy](err); ok {
		return lost(err, classUnhealthy), e.ID.Short()
	}
	if e, ok := errors.AsType[*fault.LinkLost](err); ok {
		return lost(err, classLost), e.Peer.Short()
	}
	if errors.Is(err, context.Canceled) {
		if e, ok := errors.AsType[*fault.ContextCancelled](err); ok {
			return classCancelled, e.Canceller.Short()
		}
		return classCancelled, ""
	}
	return sortSentinel(err), ""
}

// lost is the class if the error says, too, that an actor was lost.
func lost(err error, class string) string {
	if !errors.Is(err, fault.ErrActorLost) {
		return classUntyped
	}
	return class
}

func sortSentinel(err error) string {
	switch {
	case errors.Is(err, fault.ErrActorDown):
		return classDown
	case errors.Is(err, fault.ErrActorClosing):
		return classClosing
	case errors.Is(err, fault.ErrCancelUnacked):
		return classUnacked
	case errors.Is(err, errCorrupt):
		return classCorrupt
	}
	if _, ok := errors.AsType[*host.StartError](err); ok {
		return classStart
	}
	return classUntyped
}

// stepOf is a supervisor's event for the driver.
func stepOf(e directory.Event) *Step {
	s := &Step{
		Time: e.Time, Name: e.Actor.Name, Short: e.Actor.Short(), PID: e.Actor.PID,
		From: string(e.From), To: string(e.To), Cause: string(e.Cause), Step: e.Step, Reason: e.Reason,
	}
	if e.Err != nil {
		v := classify(e.Err)
		s.Err, s.OutOfHandles = &v, errors.Is(e.Err, syscall.EMFILE)
	}
	return s
}
