package command

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	b := builtFrom(&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "CGO_ENABLED", Value: "0"},
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0e1f2a3b"}, {Key: "vcs.time", Value: "2026-11-29T03:10:26Z"}, {Key: "vcs.modified", Value: "true"},
	}})
	b.Go, b.Platform = "go1.26.8", "linux/amd64"
	const want = `{"version":1,"trellis":"v1.2.3","protocol":1,"go":"go1.26.8","platform":"linux/amd64",` +
		`"source":{"system":"git","revision":"0e1f2a3b","time":"2026-11-29T03:10:26Z","modified":true}}`
	if text, err := json.Marshal(b); err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	for name, info := range map[string]*debug.BuildInfo{"no build info": nil, "an empty one": {}} {
		b := builtFrom(info)
		if b.Trellis != unknownVersion || b.Source != nil || !strings.HasPrefix(b.Go, "go") {
			t.Errorf("%s: %+v", name, b)
		}
	}
}
