package tally

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Found is one thing that a walk has come across: a file, or a folder that could
// not be read.
type Found struct {
	Path    Path   `json:"path"`
	Problem string `json:"problem,omitempty"` // of a folder; a file has none
}

// Walk yields the .go files below a folder, in the order of their names: what
// "find root/ -name '*.go' -type f" gives. A symbolic link is followed only if it
// is the root itself. A folder that cannot be read is yielded with its problem; a
// root that cannot be read is an error.
func Walk(ctx context.Context, root string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		if err := checkRoot(root); err != nil {
			yield(Found{}, err)
			return
		}
		root = strings.TrimRight(root, string(filepath.Separator)) + string(filepath.Separator) // follow a link
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				yield(Found{}, context.Cause(ctx))
				return fs.SkipAll
			case err != nil:
				if !yield(Found{Path: Path(path), Problem: reason(err)}, nil) {
					return fs.SkipAll
				}
				return nil
			case d.Type().IsRegular() && strings.HasSuffix(d.Name(), ".go") && !yield(Found{Path: Path(path)}, nil):
				return fs.SkipAll
			}
			return nil
		}) // the function returns nothing but SkipAll
	}
}

func checkRoot(root string) error {
	info, err := os.Stat(root)
	switch {
	case root == "":
		return fmt.Errorf("no source folder given; name one, as in root=/path/to/source")
	case err != nil:
		return fmt.Errorf("source folder: %w; name one that exists, as in root=/path/to/source", err)
	case !info.IsDir():
		return fmt.Errorf("source folder %s: %w; name the folder that it is in", root, errNoFolder)
	}
	dir, err := os.Open(root) //nolint:gosec // the user names the folder
	if err != nil {
		return fmt.Errorf("source folder: %w", err)
	}
	return dir.Close()
}

var errNoFolder = fmt.Errorf("not a folder: %w", fs.ErrInvalid)
