// Package document has the documents in which the command and the page show a tree to other programs: actors, descriptions
// with JSON Schemas, records (docs/joining.md). It makes them of what others have read, and reads nothing itself.
//
// Neither a host nor a plugin carries it.
package document
