package wire_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

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
