// Package lease is the right of a process to live whose owner is on another machine: for as
// long as the owner goes on to answer it, and not a moment longer.
//
// The holder asks its owner again and again ([Keep]). Each answer lets it live for one term
// from the moment at which it had asked. The owner notes when it has given its last answer
// ([Owner]): so it knows for certain when the holder is gone, without any word from it, and
// starts another one only then. Nothing of this depends on what two clocks say, but on
// that they go equally fast ([Margin]).
package lease
