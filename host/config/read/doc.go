// Package read reads a tree of actors from a YAML file. It is strict: what it does
// not understand is a problem, and all problems of a file are reported at once, each
// with its file, line and column.
//
//	tree, err := read.Load("config.yaml", read.Options{Set: []string{"actors.parser.replicas=4"}})
//	if wrong, ok := errors.AsType[*config.Error](err); ok {
//		fmt.Println(wrong) // a line for each problem
//	}
//
// A value is a node: what YAML says of it, the way to it, and the place where it was
// written. A file goes through here once:
//
//  1. parse makes nodes of the YAML document; aliases and merge keys become copies.
//  2. override puts in what the command line says.
//  3. decode fills a [config.Tree] from the nodes. When it comes to a value, it replaces the
//     variables in it and looks whether its tag means something.
//  4. The Check of the tree finds what is wrong with the values, and asks the nodes where
//     each of them stands.
package read
