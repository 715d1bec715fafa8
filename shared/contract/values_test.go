package contract_test

import (
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

type none = struct{}

// errBoom is a failure of a task, as good as any.
var errBoom = errors.New("boom")

func init() { fault.Sentinel("contract_test.boom", errBoom) }

// misfit gives err's ContractError.
func misfit(t testing.TB, err error) *fault.ContractError {
	t.Helper()
	c, ok := errors.AsType[*fault.ContractError](err)
	if !ok {
		t.Fatalf("got %v, want a ContractError", err)
	}
	return c
}
