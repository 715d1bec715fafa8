package sdk

import (
	"crypto/tls"
	"log/slog"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// rehearse does what the host will want in a moment, as far as that can be done
// without it: it checks the identity, and takes a boot and a cancel through their
// codecs. The first time, each of these takes a hundred times as long as later, for
// code that is not in memory yet and tables that are not made; meanwhile the host is
// busy with its own half, and this process would wait. All that comes of it is a line
// in the log: the host refuses a bad identity in any case, but cannot say why. It waits
// for nobody, so that the end of the process can wait for it.
func rehearse(identity *tls.Config, log *slog.Logger) {
	if identity != nil {
		if err := trust.Check(identity); err != nil {
			log.Error("trellis: the host will not accept this plugin", "error", err)
		}
	}
	id := &wire.Identity{Name: "rehearsal"}
	through(&wire.BootRequest{Parent: id, Self: id})
	through(&wire.BootResponse{Self: id, Endpoints: []*wire.Endpoint{{Name: "rehearsal"}}})
	if text, err := cbor.Marshal(wire.CancelRequest{Canceller: actor.NewID(id.Name), Grace: 1}); err == nil {
		_ = codecs.CBOR.Unmarshal(text, new(wire.CancelRequest)) // what comes of it is of no interest
	}
}

// through takes a message through its codec and back. Failures mean nothing: the boot
// itself would have them again, and report them.
func through(m proto.Message) {
	if text, err := proto.Marshal(m); err == nil {
		_ = proto.Unmarshal(text, m) // the same
	}
}
