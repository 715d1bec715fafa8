// Command conform is a plugin that does what the transcripts of the protocol tell it to, so
// that they can be played against this SDK:
//
//	go build -o /tmp/conform ./plugins/conform
//	host conform -- /tmp/conform
//
// An SDK in another language has a program like this one: the three endpoints of package
// steps, and the limits that the variable CONFORM_LIMITS asks for.
package main

import "github.com/seed-2ba35074/trellis/plugins/conform/program"

func main() { program.Serve() }
