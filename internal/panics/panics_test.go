package panics_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// dyingVar makes the test binary a program that dies of a panic.
const dyingVar = "PANICS_TEST_DYING"

func TestMain(m *testing.M) {
	if os.Getenv(dyingVar) != "" {
		_ = panics.Isolate(func() error { panic(patient{}) })
		os.Exit(7)
	}
	os.Exit(m.Run())
}

// patient is what a panic is of that gives everybody else a chance to run before it is printed.
type patient struct{}

func (patient) Error() string {
	for range 10_000 {
		runtime.Gosched()
	}
	return "while dying"
}

// E06: a panic is not taken for the end of the goroutine that it was in: nobody goes on and says so.
func TestE06_NobodyGoesOnAfterAPanic(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), dyingVar+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	exit, died := errors.AsType[*exec.ExitError](err)
	if !died || exit.ExitCode() != 2 {
		t.Errorf("E06: want the exit code 2 of a panic, got %v\n%s", err, out)
	}
	if err := panics.Isolate(func() error { runtime.Goexit(); return nil }); !errors.Is(err, fault.ErrGoexit) {
		t.Errorf("E06: after Goexit: %v", err)
	}
}

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
