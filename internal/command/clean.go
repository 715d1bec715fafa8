package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
)

// newClean makes the command that removes built programs.
func newClean(p *program) *cobra.Command {
	var unused time.Duration
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove the programs that were built for trees",
		Long: "Remove the programs that were built from packages and are kept in the user's cache folder.\n" +
			"They are built anew when they are needed. What no run has needed for 30 days is removed by itself.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, freed, err := host.CleanPrograms(unused)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%.1f MB removed from %s\n", float64(freed)/1e6, folder)
			return err
		},
	}
	cmd.Flags().DurationVar(&unused, "unused", 0, "only those that were not needed for this long, such as 24h")
	return cmd
}
