// Package conform plays transcripts against an implementation of the protocol: text files
// that say which frames go in and which must come out, rule by rule. They lie in
// docs/protocol/transcripts, whose README.md explains their language and the endpoints that
// an implementation serves to be tested.
//
//	scripts, err := conform.Scripts()
//	for _, s := range scripts {
//		err = program.Play(ctx, s) // says which line failed, and what came instead
//	}
//
// A [Script] plays the parent; the other end of the link is the implementation under test: a
// [Program], which is started anew for each script as a host would start it, or whatever a
// test has put there ([Script.Play]). plugins/conform is this implementation's program. The
// tests of the package play all transcripts in memory, and check that
// docs/protocol/README.md names each of them.
package conform
