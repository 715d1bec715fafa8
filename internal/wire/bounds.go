package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what a peer can make of few bytes: an empty message inside another has two
// on the wire, and some hundred in memory. They are far above what this project sends.
const (
	mostFramesRead = 1 << 16 // of one packet
	mostParts      = 1 << 16 // errors and relays in the tree of one Fault
	// MostMetadata bounds what a Start carries for the callee's ctx, in entries.
	MostMetadata = 1 << 12
)

// Fields with messages inside that may be many.
const (
	faultRelays   protowire.Number = 5
	faultCauses   protowire.Number = 7
	faultAlso     protowire.Number = 11
	startMetadata protowire.Number = 7
)

// checkFault refuses an encoded Fault that has too many errors. What is not a Fault is
// protobuf's to refuse.
func checkFault(b []byte, left *int) error {
	for len(b) > 0 {
		n, v, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		if v.kind != protowire.BytesType || n != faultRelays && n != faultCauses && n != faultAlso {
			continue
		}
		if *left--; *left < 0 {
			return fmt.Errorf("a fault has more than %d errors and relays", mostParts)
		}
		if n != faultRelays {
			if err := checkFault(v.bytes, left); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStart refuses an encoded Start that has too much metadata.
func checkStart(b []byte) error {
	entries := 0
	for len(b) > 0 {
		n, v, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		if n == startMetadata && v.kind == protowire.BytesType {
			entries++
		}
	}
	return checkMetadata(entries)
}

func checkMetadata(entries int) error {
	if entries > MostMetadata {
		return fmt.Errorf("a START has %d entries of metadata, the limit is %d", entries, MostMetadata)
	}
	return nil
}
