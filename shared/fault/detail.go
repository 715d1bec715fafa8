package fault

import (
	"bytes"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// marshal encodes a typed error's fields, as a payload is encoded. A failure here must not
// become another failure of the handler whose error is packed: a panic is an error like any
// other, and [packer.describe] sends the text alone, with a note. The result is a copy, since
// the scratch buffer goes back to a pool that other goroutines take from.
func marshal(v any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // an author's MarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	to := wire.NewScratch()
	defer to.Free()
	err = wire.CBOR.Marshal(to, v, nil)
	return bytes.Clone(to.Bytes()), err
}

// unmarshal reads a typed error's fields into v, a pointer to a new value of the registered
// type. The data is the peer's, and the type may decode itself; so neither a bad encoding nor a
// panic does more than leave the error without its local form (see [revive]).
func unmarshal(data []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil { // an author's UnmarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return wire.CBOR.Unmarshal(data, v)
}
