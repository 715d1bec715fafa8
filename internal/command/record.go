package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host/config"
)

// records are the files of --record, by the names of actors.
type records map[string]io.Writer

// openRecords opens a file for each NAME=file. Only its owner may read it, as it will have all that
// is said with the actor. Nothing is opened if one of the names is wrong.
func openRecords(flags []string, actors []config.Actor) (records, error) {
	files := map[string]string{}
	for _, flag := range flags {
		name, file, ok := strings.Cut(flag, "=")
		_, twice := files[name]
		switch {
		case !ok || name == "" || file == "":
			return nil, &usageError{fmt.Errorf("--record: expected NAME=file, got %q", flag)}
		case twice:
			return nil, &usageError{fmt.Errorf("--record: %s is given twice", name)}
		}
		if err := mayRecord(name, actors); err != nil {
			return nil, err
		}
		files[name] = file
	}
	all := records{}
	for name, file := range files {
		w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the user names the file
		if err == nil {
			all[name] = w
			err = ownersOnly(w)
		}
		if err != nil {
			return nil, &usageError{errors.Join(fmt.Errorf("--record: %w", err), all.close())}
		}
	}
	return all, nil
}

// mayRecord is why an actor of that name cannot be recorded: this host has no link to it.
func mayRecord(name string, actors []config.Actor) error {
	var names []string
	for _, a := range actors {
		switch {
		case a.GoPlugin == nil:
			names = append(names, a.Name)
		case a.Name == name:
			return &usageError{fmt.Errorf("--record: %s is a foreign program (goplugin), and has no contexts to record", name)}
		}
	}
	if !slices.Contains(names, name) {
		return &usageError{fmt.Errorf("--record: this host starts no actor %q; it starts %s", name, strings.Join(names, ", "))}
	}
	return nil
}

// ownersOnly takes the rights of others away from a file that was there before.
func ownersOnly(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Chmod(0o600)
}

func (r records) close() error {
	var failures []error
	for _, w := range r {
		if c, ok := w.(io.Closer); ok {
			failures = append(failures, c.Close())
		}
	}
	return errors.Join(failures...)
}
