// Command census is a plugin that counts a Go source tree. It hosts a walker, which
// finds the files, and parsers, which parse them; the tree says how many. Start it with
//
//	host run root=.
//
// As an example it shows a plugin that hosts plugins, a stream in both directions and
// what becomes of both when a child dies:
//
//   - main.go serves one context, and has the tree's actors started as children.
//   - count.go is its handler. The walker's source is read by one task; for each parser
//     another one opens a context, sends paths and receives counts; a third sends progress
//     to whoever asked. All of them are tasks of the handler's scope (Callee.Go): if one
//     fails, the scope ends the others, and the handler fails with what it failed with.
//   - These contexts are opened with any of its parsers (directory.Spread), or with any of the tree's if it hosts
//     none, as when they are on other machines: each goes to the one that has the fewest. When a parser is lost, another one gets the paths that it had and did not answer, so that
//     the report is right whatever dies.
//
// What the programs say to each other is declared in the package contract beside this one,
// which each of them imports. What a file holds is counted by package tally, which knows
// nothing of plugins and is tested without them.
package main
