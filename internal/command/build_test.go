package command

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
)

// U10: a build that takes long says what it does, and for how long.
func TestABuildSaysHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, out, _ := drawnProgress(false, plainEvery)
		b := &building{progress: p, begun: time.Now()}
		stop := p.pulse(b.text)
		time.Sleep(11 * time.Second) // nothing to tell yet
		b.tell(host.BuildStep{Package: "./a", Number: 1, Of: 2})
		b.tell(host.BuildStep{Package: "./a", Number: 1, Of: 2, Line: "go: downloading x v1"})
		time.Sleep(10 * time.Second)
		b.tell(host.BuildStep{Package: "./b", Number: 2, Of: 2})
		b.tell(host.BuildStep{Package: "./b", Number: 2, Of: 2, Line: "golang.org/x/net/http2"})
		time.Sleep(10 * time.Second)
		stop()
		want := "building 2 packages\nbuilding ./a (1 of 2), 20s: go: downloading x v1\nbuilding ./b (2 of 2), 30s, 1 package compiled: golang.org/x/net/http2\n"
		if out.String() != want {
			t.Errorf("got  %q\nwant %q", out.String(), want)
		}
	})
}
