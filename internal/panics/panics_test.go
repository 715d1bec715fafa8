package panics_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestP10_CatchAndRethrow(t *testing.T) {
	if err := panics.Catch(func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // the very same
		t.Errorf("a returned error became %v", err)
	}
	err := panics.Catch(func() error { panic(fmt.Errorf("p: %w", io.EOF)) })
	p, ok := err.(*fault.PanicError) //nolint:errorlint // bare
	if !ok || p.Value != "p: EOF" || p.Stack == "" || p.Error() != "panic: p: EOF" {
		t.Fatalf("%+v", err)
	}
	if again := panics.Catch(func() error { panics.Rethrow(err); return nil }); again != err { //nolint:errorlint // the very same
		t.Errorf("a panic that went on became %v", again)
	}
	panics.Rethrow(io.EOF)
	panics.Rethrow(nil)
	var nothing any
	if err := panics.Catch(func() error { panic(nothing) }); err == nil {
		t.Error("panic(nil) is a panic")
	}
}
