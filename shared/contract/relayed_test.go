package contract_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// S2: a callee that meets other types elsewhere, and says so, is not one whose own types
// are others: the error stays as it came, also if both endpoints have one name.
func TestS2_ARelayedContractErrorIsNotOurOwn(t *testing.T) {
	served := contract.Func[string, string]("count")
	last := pair.Serve(t, served.Handle(func(context.Context, string) (string, error) { return "", nil }))
	for _, name := range []string{"count", "outer"} {
		ours := contract.Func[int, int](name)
		p := pair.Serve(t, ours.Handle(func(ctx context.Context, _ int) (int, error) {
			_, err := last.Dialogs.Call(ctx, &dialog.Request{Endpoint: "count", Kind: dialog.Func, Fingerprint: 1, Codec: codecs.CBOR.Name()})
			return 0, err
		}))
		_, err := ours.Call(t.Context(), p, 1)
		if got := misfit(t, err); got.Endpoint != "count" || got.What != "types" || !strings.HasPrefix(err.Error(), last.Callee.String()) {
			t.Errorf("%s: the relayed error became %v", name, err)
		}
	}
	_, err := contract.Func[int, string]("count").Call(t.Context(), last, 1)
	if got := misfit(t, err); got.What != "arguments" || !strings.Contains(err.Error(), "build both with the same one") {
		t.Errorf("our own types: %v", err)
	}
}
