// Package terminal is the one place where text from outside becomes text for a
// terminal. Errors, results, log lines, paths and values of a config may come
// from a plugin, a peer or a stranger. None of them may move the cursor, set a
// title, overwrite a line, or turn the direction of what follows.
//
//	out := terminal.NewWriter(os.Stdout) // every write of a command goes through one
//	fmt.Fprintln(out, result)            // of any number of lines
//	fmt.Fprintln(out, "problem: "+terminal.Line(err.Error())) // of one
//
// Text that is harmless already stays as it is, so that it may pass through here twice.
package terminal
