// Package recorded reads what package internal/recording has written, plays the host's part of it
// to another version of the actor, and finds in what that differs.
//
//	r, err := recorded.Read(file)
//	for _, p := range r.Processes {
//		differences, err := p.Play(transport, recorded.Options{…})
//	}
//
// The recording is a script. What the host has sent is sent again, each frame when all has come that
// had come before it: so calls that ran one after the other do so again, and those that ran side by
// side may. What the actor calls in its host is answered from the recording.
//
// Only what authors can see is compared: values, messages and errors, each dialog by itself. How
// the messages of several dialogs were mixed, credit, windows and identities may differ.
package recorded
