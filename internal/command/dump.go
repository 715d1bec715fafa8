package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
)

func newDump(p *program) *cobra.Command {
	file := ""
	cmd := p.joining(completing("", &cobra.Command{
		Use:   "dump [NAME]",
		Short: "Write what all actors of a host that serves are doing: goroutines and open contexts",
		Long: "Write what the actors of a host that serves are doing, each after its host, also when some of them hang: what its host\n" +
			"knows, its goroutines, its open contexts and what they wait for, its last records. NAME is that of an actor, or\n" +
			"its path: what is below it is written as well. Values of environment variables are not in it, but goroutines and\n" +
			"records may have what is private. SIGUSR1 to host run or host serve writes the same to a file, and says where.",
		Example: "  host dump -o dump.txt\n  host dump census",
		Args:    withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		return p.toFile(file, func(w io.Writer) error { return joinedTree(ctx).Dump(ctx, w, strings.Join(args, "")) })
	})
	cmd.Flags().StringVarP(&file, "output", "o", "", "a file, for this user only, in the place of standard output")
	return cmd
}

// toFile writes to a file that only this user can read, or to standard output if it has no name.
func (p *program) toFile(name string, write func(w io.Writer) error) error {
	if name == "" {
		return write(p.stdout)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // who runs the command has named it
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o600), write(file), file.Close()); err != nil {
		return err
	}
	p.progress.step("written to " + name)
	return nil
}

// mostDumps is how many dumps are kept that signals have asked for.
const mostDumps = 20

// dumps gives a host a file for each signal that asks for a dump, until stop.
func (p *program) dumps() (files <-chan io.WriteCloser, stop func()) {
	asked := make(chan os.Signal, 1)
	if all := process.DumpSignals(); len(all) > 0 { // without any, Notify would mean all that there are
		signal.Notify(asked, all...)
	}
	opened, stopped := make(chan io.WriteCloser), make(chan struct{})
	worker := task.Start(func() {
		for {
			select {
			case <-asked:
			case <-stopped:
				return
			}
			file, err := openDump()
			if err != nil {
				p.progress.step(fmt.Sprintf("no dump: %v", err))
				continue
			}
			select {
			case opened <- &dumpFile{file, p}:
			case <-stopped:
				_ = errors.Join(file.Close(), os.Remove(file.Name())) // it is empty
				return
			}
		}
	})
	return opened, func() {
		signal.Stop(asked)
		close(stopped)
		worker.Wait()
	}
}

// dumpFile is told of when it is written.
type dumpFile struct {
	*os.File
	p *program
}

// Close closes the file, and says where it is.
func (f *dumpFile) Close() error {
	err := f.File.Close()
	if err == nil {
		f.p.progress.step("dump written to " + f.Name())
	}
	return err
}

// openDump makes a file for a dump, and removes the oldest ones.
func openDump() (*os.File, error) {
	folder, err := rundir.CacheFolder("dumps")
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("dump-%s-%d.txt", time.Now().UTC().Format("20060102T150405.000000000"), os.Getpid())
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in a folder of this user's alone
	if err != nil {
		return nil, err
	}
	all, err := filepath.Glob(filepath.Join(folder, "dump-*.txt")) // in the order of their times
	if err == nil && len(all) > mostDumps {
		for _, old := range all[:len(all)-mostDumps] {
			if gone := os.Remove(old); !errors.Is(gone, fs.ErrNotExist) { // another host removes them, too
				err = errors.Join(err, gone)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
