package link

import (
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Stats counts what a link has carried since it began. The numbers are read one
// by one, while frames flow: they need not be of the very same moment.
type Stats struct {
	PacketsOut uint64 `json:"packets_out"`
	PacketsIn  uint64 `json:"packets_in"`
	FramesOut  uint64 `json:"frames_out"` // a large payload counts as one for each of its pieces
	FramesIn   uint64 `json:"frames_in"`
	BytesOut   uint64 `json:"bytes_out"` // of payloads; about 20 bytes more for each frame go over the wire
	BytesIn    uint64 `json:"bytes_in"`
	Violations uint64 `json:"violations"` // frames that were dropped because the peer broke the protocol
}

// Stats returns the counters of this end.
func (l *Link) Stats() Stats {
	return Stats{
		PacketsOut: l.sent.packets.Load(), FramesOut: l.sent.frames.Load(), BytesOut: l.sent.bytes.Load(),
		PacketsIn: l.heard.packets.Load(), FramesIn: l.heard.frames.Load(), BytesIn: l.heard.bytes.Load(),
		Violations: uint64(l.dropped.Load()),
	}
}

// traffic counts one direction. One goroutine adds, once for each packet; anybody may read.
type traffic struct{ packets, frames, bytes atomic.Uint64 }

func (t *traffic) add(frames, bytes int) {
	t.packets.Add(1)
	t.frames.Add(uint64(frames))
	t.bytes.Add(uint64(bytes))
}

func (t *traffic) addPacket(p *wire.Packet) {
	bytes := 0
	for _, f := range p.Frames {
		bytes += len(f.Payload)
	}
	t.add(len(p.Frames), bytes)
}
