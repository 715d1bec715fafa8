// Package conform plays transcripts against an implementation of the protocol: text
// files that say which frames go in and which must come out, rule by rule. The files in
// docs/protocol/transcripts are the executable half of docs/protocol/README.md. They are
// written by hand from that page and never from what an implementation happens to do.
//
// A transcript plays the parent. The implementation under test is the child: it has
// dialled, its dialogs are odd, and it serves the three [Endpoints], whose arguments are
// the steps that their task takes. So everything happens on the wire, and the same files
// test an SDK in any language.
//
// # The language of transcripts
//
// A line that begins with "==" begins a transcript: its name, a colon, and what it shows.
// "#" begins a comment. The other lines happen one after the other:
//
//	-> FRAME         the script sends it
//	<- FRAME         it must come
//	~> FRAME         it is sent often, and must be ignored
//	!> FRAME         it is sent often; each time it is a violation, until the link is cut
//	-> bytes 0a 01   a packet is sent as it is
//	-> end           the script ends its direction of the link
//	-> cut           the script cuts the link
//	<- end           the other direction must end
//	-- 500ms         nothing must come for that long
//	limits {…}       limits that the implementation is to tell in its HELLO
//
// A FRAME is a kind, the id of its dialog (nothing for the link itself), and then what it
// carries, in any order:
//
//	"x", 1, [2]      the payload, as JSON; CBOR on the wire
//	probe            a field that is true: more, probe, deaf, attached
//	yields=2         a field by its name in trellis.proto, as protobuf's JSON
//	func, source, context
//	                 in a START: the endpoint of that name
//	text=N           the payload is a text of N bytes
//	pieces=N         it is sent in pieces of N bytes
//	hex="f6"         the payload, byte by byte
//	times=N          the line stands for N of them
//	fails="name"     an error of the fault has that name
//	detail={…}       the detail of that error, CBOR on the wire
//	says="words"     its message contains the words
//
// In texts, "$self" is the uuid of the implementation, "$script" that of the script and
// "$id" the id of the last fault that has come; "*" stands for any value that is there.
//
// A frame that comes must have what the line says. What a line does not say may be there
// only if the protocol leaves it to the implementation: windows, for example, but no
// payload, mark or count. Frames of one dialog must come in the order of their lines,
// but for a control frame, which may come before the data that stands above it. Payloads in
// pieces are put together, and their pieces are checked. At the end of a transcript, and
// at each "--", nothing more may have come; then both sides say BYE.
package conform
