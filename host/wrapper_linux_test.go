package host_test

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
)

// A plugin behind a wrapper, which stays its parent, is another process than the one that
// was started: its link goes over gRPC, and is like any other.
func TestPluginBehindAWrapper(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "wrapped", "good")
		s.Command = append([]string{"/bin/sh", "-c", `"$0" "$@"; exit $?`}, s.Command...)
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		self, err := whoami.Call(ctx, p, none{})
		if err != nil {
			return err
		}
		if group, err := unix.Getpgid(self.PID); err != nil || group == self.PID {
			t.Errorf("the plugin leads the group %d: it is not behind its wrapper (%v)", group, err)
		}
		for _, text := range []string{"hello", strings.Repeat("x", 3<<20)} {
			if got, err := echo.Call(ctx, p, text); got != text || err != nil {
				t.Errorf("%d bytes came back of %d: %v", len(got), len(text), err)
			}
		}
		sum := 0
		for i, err := range numbers.Stream(ctx, p, 1000) {
			if err != nil {
				return err
			}
			sum += i
		}
		if sum != 1000*999/2 {
			t.Errorf("the numbers make %d", sum)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
