//go:build lab

package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/netns"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// busyVar says that there is a stream over the link that is cut.
const busyVar = "TRELLIS_TEST_BUSY"

func init() {
	role("serves one", func() { // until that has left
		err := host.OpenNursery(context.Background(), serving(), func(ctx context.Context, _ *host.Nursery) error {
			fmt.Println("ready")
			left, err := leaving(ctx, "guest", func() {})
			if err != nil {
				return err
			}
			return left.Err
		})
		fmt.Println(lossOf(err))
	})
	role("joins one", func() { // as soon as it is there: a link that was mended needs a moment
		err := host.ErrNoHost
		for errors.Is(err, host.ErrNoHost) {
			err = join(context.Background(), "guest", func(ctx context.Context) error {
				fmt.Println("ready")
				if os.Getenv(busyVar) != "" {
					return endless(ctx, sdk.Parent(ctx), func() {})
				}
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}
		fmt.Println(lossOf(err))
	})
}

// lossOf says in a line whether a link was lost.
func lossOf(err error) string {
	if lost, ok := errors.AsType[*fault.LinkLost](err); ok {
		return "lost " + lost.Peer.Name
	}
	return strings.ReplaceAll(fmt.Sprintf("ended with %v", err), "\n", " ")
}

// F01: a link between two machines that is cut is lost at both ends within 5 seconds, whether something goes over it or not. When
// it is mended, the host can be joined again.
func TestF01_ACutBetweenMachines(t *testing.T) {
	for _, busy := range []string{"", "yes"} {
		t.Run("busy="+busy, func(t *testing.T) {
			overTLS(t)
			n := netns.New(t, "a", "b")
			t.Setenv(listenVar, n.Address("a")+":7077")
			t.Setenv(busyVar, busy)
			served := onMachine(t, n, "a", "serves one")
			served.expect(t, "ready")
			joined := onMachine(t, n, "b", "joins one")
			joined.expect(t, "ready")
			n.Cut("b")
			cut := time.Now()
			joined.expect(t, "lost host")
			noticed := time.Since(cut)
			served.expect(t, "lost guest")
			t.Logf("noticed after %v by the program, %v by the host", noticed.Round(time.Millisecond), time.Since(cut).Round(time.Millisecond))
			if took := time.Since(cut); took > 5*time.Second {
				t.Errorf("F01: it took %v", took)
			}
			n.Mend("b")
			served = onMachine(t, n, "a", "serves one")
			served.expect(t, "ready")
			joined = onMachine(t, n, "b", "joins one")
			joined.expect(t, "ready")
		})
	}
}

// lines are what a program on a machine prints.
type lines struct{ out *bufio.Scanner }

func onMachine(t *testing.T, n *netns.Net, machine, role string) *lines {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := n.Command(machine, self)
	cmd.Env, cmd.Stderr = append(cmd.Env, roleVar+"="+role), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // as above
	})
	return &lines{bufio.NewScanner(out)}
}

func (l *lines) expect(t *testing.T, want string) {
	t.Helper()
	if l.out.Scan(); l.out.Text() != want {
		t.Fatalf("%q, want %q: %v", l.out.Text(), want, l.out.Err())
	}
}
