//go:build lab

package machines_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

const (
	roleVar   = "MACHINES_TEST_ROLE"
	ledgerVar = "MACHINES_TEST_LEDGER" // the file that one process holds
	crimesVar = "MACHINES_TEST_CRIMES" // the file where a second holder says so
)

// who is a process that answers.
type who struct {
	Machine string `json:"machine"`
	PID     int    `json:"pid"`
}

var (
	where = contract.Func[struct{}, who]("where")
	ticks = contract.Source[struct{}, int]("ticks")
)

// TestMain makes the test binary the actor that must not be there twice.
func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(run(m))
	}
	if err := holdLedger(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sdk.Serve(
		where.Handle(func(context.Context, struct{}) (who, error) { return here(), nil }).Callers("joined"),
		ticks.Handle(func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := 0; ctx.Err() == nil && yield(i, nil); i++ {
					select {
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		}).Callers("joined"),
	)
}

// run runs the tests.
func run(m *testing.M) (code int) {
	var err error
	if programs, err = os.MkdirTemp("", "machines"); err != nil {
		panic(err)
	}
	defer func() {
		if err := os.RemoveAll(programs); err != nil {
			panic(err)
		}
	}()
	return m.Run()
}

// here is this process. The folder for temporary files is the machine's own.
func here() who { return who{Machine: os.TempDir(), PID: os.Getpid()} }

// holdLedger takes the lock that this process has until the kernel has ended it, and notes if
// another one has it. Without a file there is nothing to hold.
func holdLedger() error {
	if os.Getenv(ledgerVar) == "" {
		return nil
	}
	file, err := os.OpenFile(os.Getenv(ledgerVar), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		kept = file
		return nil
	}
	crimes, open := os.OpenFile(os.Getenv(crimesVar), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if open != nil {
		return errors.Join(err, open)
	}
	_, note := fmt.Fprintf(crimes, "%v: another process is the holder: %v\n", here(), err)
	return errors.Join(err, note, crimes.Close())
}

var kept *os.File // the collector would close it
