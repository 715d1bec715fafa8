package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/lab/decl"
)

// measures are what is measured of a package, or of several together.
type measures struct {
	folder            string
	code, comment     int // lines
	exported, methods int
	goStatements      int
	function, file    longest
}

// longest is the largest of its kind.
type longest struct {
	lines int
	name  string
}

func (l *longest) see(lines int, name string) {
	if lines > l.lines {
		*l = longest{lines, name}
	}
}

func (m *measures) add(o measures) {
	m.code += o.code
	m.comment += o.comment
	m.exported += o.exported
	m.methods += o.methods
	m.goStatements += o.goStatements
	m.function.see(o.function.lines, o.function.name)
	m.file.see(o.file.lines, o.file.name)
}

// commentShare is the share of comments in percent.
func (m *measures) commentShare() float64 {
	if m.code+m.comment == 0 {
		return 0
	}
	return 100 * float64(m.comment) / float64(m.code+m.comment)
}

// measure measures every package of a module.
func measure(root string) ([]measures, error) {
	found := map[string]*measures{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "tools"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		path, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return measureFile(found, name, filepath.ToSlash(path))
	})
	packages := make([]measures, 0, len(found))
	for _, m := range found {
		packages = append(packages, *m)
	}
	return packages, err
}

func measureFile(found map[string]*measures, name, path string) error {
	text, err := os.ReadFile(name) //nolint:gosec // it is a file of this module
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return err
	}
	folder := filepath.ToSlash(filepath.Dir(path))
	m := found[folder]
	if m == nil {
		m = &measures{folder: folder}
		found[folder] = m
	}
	code, comment := lines(text)
	m.code += code
	m.comment += comment
	m.file.see(strings.Count(string(text), "\n"), path)
	m.declarations(set, file)
	return nil
}

// lines counts those with code, and those with nothing but a comment.
func lines(text []byte) (code, comment int) {
	set := token.NewFileSet()
	f := set.AddFile("", set.Base(), len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, scanner.ScanComments)
	codeLines, commentLines := map[int]bool{}, map[int]bool{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // the scanner's own
		}
		mark := codeLines
		if tok == token.COMMENT {
			mark = commentLines
		}
		first := f.Line(pos)
		for line := first; line <= first+strings.Count(literal, "\n"); line++ {
			mark[line] = true
		}
	}
	for line := range commentLines {
		if !codeLines[line] {
			comment++
		}
	}
	return len(codeLines), comment
}

func (m *measures) declarations(set *token.FileSet, file *ast.File) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1
			m.function.see(lines, set.Position(d.Pos()).Filename+" "+d.Name.Name)
			switch {
			case !d.Name.IsExported():
			case d.Recv == nil:
				m.exported++
			case ast.IsExported(decl.Receiver(d)):
				m.methods++
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				m.spec(spec)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if _, ok := n.(*ast.GoStmt); ok {
			m.goStatements++
		}
		return true
	})
}

func (m *measures) spec(spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() {
			m.exported++
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() {
				m.exported++
			}
		}
	}
}
