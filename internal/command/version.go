package command

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// buildInfo is the document of host version: what this program was built from.
type buildInfo struct {
	Version  int       `json:"version"` // of the document
	Trellis  string    `json:"trellis"`
	Protocol int       `json:"protocol"`
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	Source   *revision `json:"source,omitempty"` // where the go command has noted it
}

// revision is the state of the source.
type revision struct {
	System   string `json:"system"`
	Revision string `json:"revision"`
	Time     string `json:"time"`
	Modified bool   `json:"modified"`
}

func newVersion(p *program) *cobra.Command {
	return p.outputFlag(&cobra.Command{
		Use:   "version",
		Short: "Print the version of Trellis, of its protocol and of Go",
		Long: "Print the version of Trellis, of the protocol that its programs speak, and of Go, and the commit that it was\n" +
			"built from, where the go command has noted that. Programs speak with each other if the protocol is the same.",
		Example: "  host version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if p.output == "json" {
				return p.printJSON(b)
			}
			tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintf(tab, "trellis\t%s\nprotocol\t%d\ngo\t%s\nplatform\t%s\n", b.Trellis, b.Protocol, b.Go, b.Platform) // Flush reports it
			if s := b.Source; s != nil {
				changed := ""
				if s.Modified {
					changed = ", with changes"
				}
				_, _ = fmt.Fprintf(tab, "source\t%s %s of %s%s\n", s.System, s.Revision, s.Time, changed)
			}
			return tab.Flush()
		},
	})
}

// unknownVersion is what the go command calls a module that it has built from a folder.
const unknownVersion = "(devel)"

// thisBuild is what this program was built from.
func thisBuild() *buildInfo {
	info, _ := debug.ReadBuildInfo() // nil without modules
	return builtFrom(info)
}

func builtFrom(info *debug.BuildInfo) *buildInfo {
	b := &buildInfo{
		Version: document.Version, Trellis: unknownVersion, Protocol: wire.Version,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info == nil {
		return b
	}
	if info.Main.Version != "" {
		b.Trellis = info.Main.Version
	}
	s := &revision{}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs":
			s.System = setting.Value
		case "vcs.revision":
			s.Revision = setting.Value
		case "vcs.time":
			s.Time = setting.Value
		case "vcs.modified":
			s.Modified = setting.Value == "true"
		}
	}
	if s.Revision != "" {
		b.Source = s
	}
	return b
}
