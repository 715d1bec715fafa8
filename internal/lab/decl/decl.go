// Package decl names declarations of Go code, for the tests and tools that read this
// repository's own.
package decl

import "go/ast"

// Receiver is the name of the type that a method belongs to, without its type parameters; ""
// for a function.
func Receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// Name is the name of a function or a method as `go doc` takes it.
func Name(d *ast.FuncDecl) string {
	if r := Receiver(d); r != "" {
		return r + "." + d.Name.Name
	}
	return d.Name.Name
}
