// Package tally counts Go source files: what one file holds, and what many of them
// add up to. It knows nothing of plugins.
package tally

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxParsed is the size up to which a file is parsed, in bytes. Larger ones are
// counted without being loaded, and reported.
const MaxParsed = 32 << 20

// Path is a file name as it is on disk, in whatever encoding.
type Path []byte

// String is the name for people: as it is if it is printable, else quoted.
func (p Path) String() string {
	if s := string(p); utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(string(p))
}

// File is what one source file holds.
type File struct {
	Path  Path  `json:"path"`
	Lines int   `json:"lines"` // newlines, and one more if the last line has none
	Bytes int64 `json:"bytes"`

	Package   string `json:"package"`
	Functions int    `json:"functions"` // declared without a receiver
	Methods   int    `json:"methods"`   // declared with one
	// Exported counts the exported names at package level (functions, types,
	// constants, variables) and the exported methods.
	Exported int      `json:"exported"`
	Longest  Function `json:"longest"`
	Imports  []string `json:"imports"`

	// Problem says why the file was not parsed; Lines and Bytes count all the same.
	Problem string `json:"problem,omitempty"`
}

// Function is a function or method and how many lines it has.
type Function struct {
	Name  string `json:"name"` // with its receiver, as in (*Server).Serve
	Lines int    `json:"lines"`
	Where string `json:"where"` // path:line
}

// Parse reads and counts one file. What cannot be read or parsed is reported in
// the File; nothing stops the caller.
func Parse(path Path) File { return parse(path, MaxParsed) }

func parse(path Path, limit int64) File {
	f, err := os.Open(string(path))
	if err != nil {
		return File{Path: path, Problem: reason(err)}
	}
	defer func() { _ = f.Close() }() // only read from
	src, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return File{Path: path, Problem: reason(err)}
	case int64(len(src)) <= limit:
		return ParseSource(path, src)
	}
	counted := File{Path: path, Problem: fmt.Sprintf("larger than %d bytes: counted, not parsed", limit)}
	if err := counted.stream(io.MultiReader(bytes.NewReader(src), f)); err != nil {
		counted.Problem = reason(err)
	}
	return counted
}

// reason is an error without the path, which the File has already.
func reason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// stream counts lines and bytes of what is too large to load.
func (f *File) stream(r io.Reader) error {
	buf := make([]byte, 256<<10)
	last := byte('\n')
	for {
		n, err := r.Read(buf)
		if n > 0 {
			f.Bytes += int64(n)
			f.Lines += bytes.Count(buf[:n], []byte{'\n'})
			last = buf[n-1] //nolint:gosec // 0 < n <= len(buf)
		}
		if errors.Is(err, io.EOF) {
			if last != '\n' {
				f.Lines++
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ParseSource counts one file whose text is at hand.
func ParseSource(path Path, src []byte) File {
	f := File{Path: path, Bytes: int64(len(src)), Lines: bytes.Count(src, []byte{'\n'})}
	if len(src) > 0 && src[len(src)-1] != '\n' {
		f.Lines++
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, filepath.Base(path.String()), src, parser.SkipObjectResolution)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	f.Package = tree.Name.Name
	for _, spec := range tree.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			f.Imports = append(f.Imports, imported)
		}
	}
	for _, decl := range tree.Decls {
		f.count(fset, decl)
	}
	return f
}

func (f *File) count(fset *token.FileSet, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		f.countFunc(fset, d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			f.countSpec(spec)
		}
	}
}

func (f *File) countFunc(fset *token.FileSet, d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv == nil {
		f.Functions++
	} else {
		f.Methods++
		name = "(" + receiver(d.Recv) + ")." + name
	}
	if d.Name.IsExported() {
		f.Exported++
	}
	start := fset.PositionFor(d.Pos(), false).Line
	lines := fset.PositionFor(d.End(), false).Line - start + 1
	if lines > f.Longest.Lines {
		f.Longest = Function{Name: name, Lines: lines, Where: fmt.Sprintf("%s:%d", f.Path, start)}
	}
}

func (f *File) countSpec(spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			f.Exported++
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() {
				f.Exported++
			}
		}
	}
}

// receiver is a method's receiver type without its parameters.
func receiver(list *ast.FieldList) string {
	if len(list.List) == 0 {
		return ""
	}
	star, typ := "", list.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			star, typ = "*", t.X
		case *ast.ParenExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return star + t.Name
		default:
			return star + "?"
		}
	}
}
