package fault

import (
	"bytes"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// marshal encodes a typed error's fields, as a payload is encoded.
func marshal(v any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // an author's MarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	to := wire.NewScratch()
	defer to.Free()
	err = wire.CBOR.Marshal(to, v)
	return bytes.Clone(to.Bytes()), err
}

// unmarshal reads a typed error's fields.
func unmarshal(data []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil { // an author's UnmarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return wire.CBOR.Unmarshal(data, v)
}
