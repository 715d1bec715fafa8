package command

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write a manual page for each command into a folder",
		Long: "Write a manual page for each command into a folder, which is made if it is not there: host.1, host-run.1\n" +
			"and so on, for whoever packages the command.",
		Example: "  host man ./man1\n  man ./man1/host-run.1",
		Args:    withArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // pages are for everybody
				return err
			}
			header := &doc.GenManHeader{Section: "1", Source: "Trellis " + thisBuild().Trellis, Date: new(sourceTime())}
			return doc.GenManTree(cmd.Root(), header, args[0])
		},
	}
}

// sourceTime is the date on manual pages: that of the source, so that the same source gives the same pages.
func sourceTime() time.Time {
	if s := thisBuild().Source; s != nil {
		if at, err := time.Parse(time.RFC3339, s.Time); err == nil {
			return at
		}
	}
	return time.Unix(0, 0).UTC()
}
