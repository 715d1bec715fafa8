package trellis_test

import (
	"bufio"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// countByHand counts a source tree in this process, in another way than the
// plugins do: it is what they are checked against, and compared with.
func countByHand(t testing.TB, root string) report {
	t.Helper()
	var r report
	packages := map[string]bool{}
	longestAt := ""
	walkErr := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return err
		}
		r.Files++
		lines, size, err := linesOf(path)
		if err != nil {
			return err
		}
		r.Lines += lines
		r.Bytes += size
		fset := token.NewFileSet()
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			r.Failed++
			return nil //nolint:nilerr // a file that does not parse is counted and stops nothing
		}
		packages[filepath.Dir(path)+" "+file.Name.Name] = true
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				length := 1 + strings.Count(textOf(fset, src, f), "\n")
				if length > r.Longest.Lines || length == r.Longest.Lines && path < longestAt {
					r.Longest.Lines, longestAt = length, path
					r.Longest.Name = f.Name.Name
				}
			}
			countDecl(&r, decl)
		}
		return nil
	})
	if walkErr != nil {
		t.Fatal(walkErr)
	}
	r.Packages = len(packages)
	return r
}

// textOf is the source text of a node.
func textOf(fset *token.FileSet, src []byte, n ast.Node) string {
	file := fset.File(n.Pos())
	return string(src[file.Offset(n.Pos()):file.Offset(n.End())])
}

func countDecl(r *report, decl ast.Decl) {
	names := []*ast.Ident{}
	if f, ok := decl.(*ast.FuncDecl); ok {
		names = append(names, f.Name)
		if f.Recv != nil {
			r.Methods++
		} else {
			r.Functions++
		}
	}
	if g, ok := decl.(*ast.GenDecl); ok && g.Tok != token.IMPORT {
		for _, spec := range g.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name)
			case *ast.ValueSpec:
				names = append(names, s.Names...)
			}
		}
	}
	for _, name := range names {
		if first, _ := utf8.DecodeRuneInString(name.Name); unicode.IsUpper(first) {
			r.Exported++
		}
	}
}

// linesOf counts as an editor does: a last line needs no newline.
func linesOf(path string) (lines int, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for in := bufio.NewReaderSize(f, 64<<10); ; {
		text, err := in.ReadSlice('\n')
		size += int64(len(text))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if len(text) > 0 {
				lines++
			}
			return lines, size, nil
		case err != nil:
			return 0, 0, err
		}
		lines++
	}
}
