// Package flow combines contexts and streams of package contract. It is made of what
// contract exports and of nothing else, so that a program may have combinators of its
// own in its place.
//
// [OpenAll] opens many contexts as one group: all of them start, or none stays. [Broadcast]
// gives what one stream receives to many tasks. [Shared] gives one opened resource for
// each key to many users, the last of which closes it. [Publish] serves what one
// producer has to many subscribers, each with topics of its own.
package flow
