package wire

import (
	"cmp"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what a peer can make of few bytes: an empty message inside another has two on the
// wire, and some hundred in memory. They are far above what this project sends, and each is
// checked on the encoded bytes, before anything is made of them. A packet that exceeds one
// cannot be read, and so ends the link: an honest peer never sends it.
const (
	mostFramesRead = 1 << 16 // of one packet
	mostParts      = 1 << 16 // errors and relays in the tree of one Fault
	// MostMetadata bounds what a Start carries for the callee's ctx, in entries.
	MostMetadata = 1 << 12
)

// Numbers of the fields, in docs/protocol/trellis.proto, whose messages a peer may repeat.
const (
	faultNodes    protowire.Number = 1
	nodeRelays    protowire.Number = 7
	startMetadata protowire.Number = 7
)

// checkFault refuses an encoded Fault that has too many errors and relays, before anything of it
// is made. left is what the whole frame may still have: protobuf merges a field that comes twice,
// so the bound must hold for all of them together. What is not a Fault is protobuf's to refuse.
func checkFault(b []byte, left *int) error {
	return each(b, faultNodes, func(node []byte) error {
		*left--
		err := each(node, nodeRelays, func([]byte) error { *left--; return nil })
		if *left < 0 {
			err = fmt.Errorf("a fault has more than %d errors and relays", mostParts)
		}
		return err
	})
}

// checkStart refuses an encoded Start that has too much metadata.
func checkStart(b []byte) error {
	entries := 0
	err := each(b, startMetadata, func([]byte) error { entries++; return nil })
	return cmp.Or(err, checkMetadata(entries))
}

// each calls f for each message that a field has in b. It only looks at the encoding, and makes
// nothing; what it cannot read is an error, as it is for protobuf.
func each(b []byte, number protowire.Number, f func(message []byte) error) error {
	for len(b) > 0 {
		n, v, rest, err := field(b)
		if err == nil && n == number && v.kind == protowire.BytesType {
			err = f(v.bytes)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// checkMetadata is asked before a Start is decoded, about its encoding, and again afterwards.
func checkMetadata(entries int) error {
	if entries > MostMetadata {
		return fmt.Errorf("a START has %d entries of metadata, the limit is %d", entries, MostMetadata)
	}
	return nil
}
