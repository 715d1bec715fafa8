// Package treepath knows the form of paths in a tree of actors: the names of an actor's hosts, from
// the root's children on, and its own, separated by slashes. Of several actors of one name beside
// each other the second one is name#2. The path of the root is empty.
package treepath
