package link_test

import (
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// F06: what is relayed to a peer that does not read never costs that its link, whatever the payloads' sizes.
func TestF06_FullIsLessThanWhatCutsTheLink(t *testing.T) {
	end, peer := pipe.New()
	defer peer.Abort()
	l := link.New(end, link.Config{Self: actor.NewID("self"), MaxMessage: 1 << 30})
	defer l.Abort(nil)
	const large = 100 << 20
	if l.Full(link.Answer, 2*large, 1) || !l.Full(link.Answer, 3*large, 2) {
		t.Error("an idle link takes as much as may wait, and no more")
	}
	payload := make([]byte, large)
	l.Send(link.Answer, &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_RETURN, Payload: payload})
	if l.Full(link.Control, 0, 3) || l.Full(link.Answer, large, 4) || !l.Full(link.Answer, 2*large, 5) || l.Full(link.Data, 2*large, 6) {
		t.Error("100 MiB wait, and another payload has no room, or 200 MiB have")
	}
	l.Send(link.Answer, &wire.Frame{Dialog: 3, Kind: wire.Kind_KIND_RETURN, Payload: payload})
	if !l.Full(link.Answer, 0, 7) || l.Err() != nil {
		t.Errorf("200 MiB wait, and there is room; the link: %v", l.Err())
	}
}
