package wire_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

func TestIdentities(t *testing.T) {
	id := actor.ID{Name: "n", UUID: "u", PID: 3}
	if got := wire.FromID(id).ToID(); got != id {
		t.Errorf("%+v", got)
	}
	if wire.FromID(actor.ID{Name: "nobody"}) != nil || !(*wire.Identity)(nil).ToID().IsZero() {
		t.Error("nobody is an absent identity")
	}
	if _, err := proto.Marshal(wire.FromID(actor.ID{Name: "n\xff", UUID: "u\xff"})); err != nil {
		t.Errorf("a name keeps the frame from being encoded: %v", err)
	}
	long := (&wire.Identity{Name: strings.Repeat("é", 1000), Uuid: strings.Repeat("x", 1000)}).ToID()
	if len(long.Name) > 260 || len(long.UUID) > 260 || !strings.HasPrefix(long.Name, "éé") {
		t.Errorf("%d and %d bytes", len(long.Name), len(long.UUID))
	}
}
