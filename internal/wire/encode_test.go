package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// marshal returns what a codec makes of a value.
func marshal(c wire.Codec, v any) ([]byte, error) {
	b := wire.NewScratch()
	defer b.Free()
	if err := c.Marshal(b, v, nil); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

// encoded gives a packet's frames as one part.
func encoded(t *testing.T, p *wire.Packet) (b []byte) {
	t.Helper()
	var err error
	for _, f := range p.Frames {
		if b, err = wire.AppendFrame(b, f); err != nil {
			t.Fatal(err)
		}
	}
	if size := proto.Size(p); size != len(b) {
		t.Errorf("%d bytes, protobuf has %d", len(b), size)
	}
	return b
}
