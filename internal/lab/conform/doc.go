// Package conform plays transcripts against an implementation of the protocol: text files
// that say which frames go in and which must come out, rule by rule. They lie in
// docs/protocol/transcripts, whose README.md explains their language and the endpoints that
// an implementation serves to be tested.
//
//	scripts, err := conform.Parse("calls", text)
//	for _, s := range scripts {
//		err = s.Play(transport, settle) // says which line failed, and what came instead
//	}
//
// A [Script] plays the parent; the other end of the transport is the implementation under
// test. [Endpoints] are this implementation's. The tests of the package play all transcripts
// in memory, and check that docs/protocol/README.md names each of them.
package conform
