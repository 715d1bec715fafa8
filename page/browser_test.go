//go:build browser

package page_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/page"
)

// A browser does what people do with the page: testdata/browser.mjs says what. It needs node, the module playwright-core where
// NODE_PATH leads, and the browser that CHROMIUM names (make browser).
func TestInABrowser(t *testing.T) {
	ended := make(counting, 6)
	o := host.Options{Telemetry: config.Telemetry{Spans: 1000}, Supervision: config.Supervision{Strategy: config.OneForOne}}
	servedBy(t, o, page.Options{Plan: differing}, ended, func(ctx context.Context, p *page.Page, url string) {
		script := exec.CommandContext(ctx, "node", "testdata/browser.mjs", url+p.Invite(), url+p.Invite())
		script.Stdout, script.Stderr = os.Stdout, os.Stderr
		if err := script.Run(); err != nil {
			t.Error(err)
			return
		}
		whole := 0 // of two sources that were stopped, a chat that has come to its end, one that was cancelled, and two whose actor was restarted
		for range cap(ended) {
			if <-ended {
				whole++
			}
		}
		if whole != 1 {
			t.Errorf("%d sources and chats have come to their ends, want 1", whole)
		}
	})
}

// differing is a plan, as host plan gives it.
func differing(context.Context) (any, error) {
	return json.RawMessage(`{"version": 1, "changes": [
		{"actor": "greeter", "action": "restart", "settings": [{"key": "limits.memory", "from": "", "to": "1 GiB"}, {"key": "args", "from": "[\"-a\"]", "to": "[\"-b\"]"}]},
		{"actor": "baker", "action": "add", "from": 0, "to": 2},
		{"actor": "cook", "action": "restart", "program": true, "error": "no such user"}]}`), nil
}
