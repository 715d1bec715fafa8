package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what a peer can make of few bytes: an empty message inside another has two on the
// wire, and some hundred in memory. They are far above what this project sends, and are
// checked on the encoded bytes, before anything is made of them. A packet that exceeds one
// cannot be read, and so ends the link: an honest peer never sends it.
const (
	mostParts = 1 << 16 // frames of a packet, and parts of a frame
	// MostMetadata bounds what a Start carries for the callee's ctx, in entries.
	MostMetadata = 1 << 12
)

var (
	errManyFrames = fmt.Errorf("a packet has more than %d frames", mostParts)
	errManyParts  = fmt.Errorf("a frame has more than %d errors, relays and entries of metadata", mostParts)
)

// packetFrames is the field of a packet that has its frames.
const packetFrames protowire.Number = 1

// repeated are the fields, by those of a frame that they are in, whose messages a peer may
// repeat: entries of metadata in a Start; errors in a Fault, and relays in each of them. The numbers
// are those of docs/protocol/trellis.proto.
var repeated = map[protowire.Number][]protowire.Number{9: {7}, 12: {1, 7}}

// count takes the messages off left that the first field of path has in b, and those that the
// next one has in each of them. It only looks at the encoding, and makes nothing; what it cannot
// read is an error, as it is for protobuf.
func count(b []byte, left *int, tooMany error, path ...protowire.Number) error {
	for len(path) > 0 && len(b) > 0 {
		n, v, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		if n != path[0] || v.kind != protowire.BytesType {
			continue
		}
		if *left--; *left < 0 {
			return tooMany
		}
		if err := count(v.bytes, left, tooMany, path[1:]...); err != nil {
			return err
		}
	}
	return nil
}
