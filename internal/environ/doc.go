// Package environ is the environment of the processes that a host starts, and the
// one place that knows what the operating system can carry in it and in arguments
// and paths.
//
// A child's environment has three parts, each laid over the one before:
//
//	env := environ.Merge(
//		environ.Base(),      // the host's own, reduced to a list of harmless names
//		own,                 // what its description says (Join checks and writes it)
//		protocol,            // what go-plugin and Trellis tell it
//	)
//
// Nobody overrules the third part: Join refuses the names that are in it.
//
// What an operating system ends texts at, a NUL byte, or takes for the end of a
// name, "=", would change a value silently. So values are checked where they are
// declared: by the reader of config files with a line, by package host for
// descriptions that are written in Go, and by package process once more for
// everyone else. All of them ask [CheckName], [CheckText] and [CheckVariable].
package environ
