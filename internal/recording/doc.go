// Package recording writes down what a host and one of its actors say to each other, frame by
// frame, in a text file that people can read and compare. Package trellistest/internal/recorded reads
// such files again. It is machinery of this project and promises no stable API.
//
//	r := recording.New(file, "parser", log) // returns at once, and never makes a link wait
//	transport = r.Tap(transport, id)        // one for each process of the actor
//	...
//	r.Close()
//
// # The file
//
// A file is made of lines. A frame is written as in the transcripts of the protocol, whose notation
// docs/protocol/transcripts/README.md explains: the host plays the script.
//
//	trellis recording 1
//	== parser@0e1f2a3b: 2026-01-02T15:04:05Z
//	-> HELLO hello={"version":1,"self":{"name":"host",…
//	<- HELLO hello={"version":1,"self":{"name":"parser",…
//	-> START 2 {"path": "/src"} start={"endpoint":"parse","kind":"ENDPOINT_KIND_FUNC",…
//	<- RETURN 2 {"lines": 3}
//	<- end
//	-- end
//
// The first line names the format and its version. A line that begins with == says which process
// of the actor the lines below belong to, and when it was linked; it comes again when the actor
// has another process, and when two of them take turns. Then -> is what the host has sent, <- what
// has come, in the order in which the host has seen it; payloads are whole. After "<- end" nothing
// more comes from the process. CREDIT is left out, since it depends on how fast both sides read.
// A # begins a comment.
//
// The last line of a whole recording is "-- end". That of one which was given up is "-- incomplete:"
// and why, and a file with neither was cut off.
//
// A payload is the diagnostic notation of CBOR (RFC 8949, 8), of which JSON is a part, so that no
// byte is lost: h'00ff' is a byte string, 0("…") a tagged value, 1.5_2 a number of 32 bits.
// json= is before a payload that was JSON, and hex= before any other bytes. An error is one
// fault= with all of its nodes, as trellis.proto has them; those details that are CBOR stand behind
// it, detail0= for that of the first node, and so on.
//
// # What bounds it
//
// What waits to be written has a bound, empty packets included, and so has the file (docs/bounds.md). Past one of them, and
// after a failed write, the recording is given up, with a warning; the actor does not notice.
// What a file has is therefore always what was said from its beginning on, without a gap.
package recording
