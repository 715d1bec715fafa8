// Package wire is what goes over a link, of the protocol trellis.v1: its messages (generated
// from docs/protocol/trellis.proto), how frames become bytes and bytes become frames, and the
// memory of the payloads inside them, whose bytes are package codecs' to make. It is machinery
// of this project and promises no stable API. docs/protocol says what the frames mean.
//
// # Out
//
// A [Frame] is encoded once, by whoever queues it, into a [Buffer]. Frames that lie one after
// the other are a packet: so a [Batch], whatever parts it comes in, is one.
//
//	b, err := wire.AppendFrame(b, f)     // with its payload
//	b, err := wire.AppendFrameHead(b, f) // without: a large payload goes out from where it lies
//
// # In
//
// Over gRPC a packet is one message, which [PacketCodec] reads. Over a socket packets never
// end, and a [PacketReader] gives the frames that have come together:
//
//	r := wire.NewPacketReader(conn)
//	for {
//		p, err := r.Next() // its frames are valid until the next call, their payloads for ever
//		...
//	}
//
// What comes is a stranger's. A payload never keeps much more memory than its own bytes, and
// what a few bytes could make large (frames of a packet, errors of a fault, metadata of a
// START) is counted before it is made: bounds.go. All that protobuf refuses is refused, and
// all that it reads is read the same: fuzz tests compare the two.
//
// # Ownership
//
// Nothing here starts a goroutine or blocks, except for [PacketReader.Next] on its connection.
// Frames, buffers and readers have no locks: each has one owner at a time. What all goroutines
// share are pools of memory.
// Nothing that was decoded refers to memory that will be written again, unless its comment
// says for how long it is valid.
//
// # Payloads
//
// A buffer has one owner at a time, who gives it away or frees it:
//
//	to := wire.NewBuffer(size)
//	err := codecs.CBOR.Marshal(to, value, nil)
//	link.SendOwned(lane, frame, to) // the link's from here on
//
// # Errors and identities
//
// A [Fault] is an error's whole tree, as a list of [Node]; package fault makes it and reads
// it. An [Identity] names a process: [FromID] and [Identity.ToID].
package wire
