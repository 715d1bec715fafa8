package trellistest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"testing"
)

// runTest runs the test of an example, and prints how it ends. An example has no testing.T, and
// a file with tests is not shown as an example, so that those are named testX, and not TestX.
func runTest(test func(*testing.T)) {
	// Which of the outer tests run, how often, and what is said of them, is not for this one.
	for name, value := range map[string]string{"test.run": "", "test.skip": "", "test.count": "1", "test.v": "false"} {
		f := flag.Lookup(name).Value
		before := f.String()
		defer func() {
			if err := f.Set(before); err != nil {
				panic(err)
			}
		}()
		if err := f.Set(value); err != nil {
			panic(err)
		}
	}
	ran := false
	ok := testing.RunTests(regexp.MatchString, []testing.InternalTest{{Name: "TestOfExample", F: func(t *testing.T) {
		ran = true
		test(t)
	}}})
	if ok && ran {
		fmt.Println("PASS")
	} else {
		fmt.Println("FAIL")
	}
}

// Each example is shown with its whole file, so that readers see the test and not only its call.
func TestExamplesAreShownWhole(t *testing.T) {
	names, err := filepath.Glob("example_*_test.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		file, err := goparser.ParseFile(token.NewFileSet(), name, nil, goparser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		examples := doc.Examples(file)
		if len(examples) != 1 {
			t.Errorf("%s has %d examples", name, len(examples))
			continue
		}
		if _, whole := examples[0].Code.(*ast.File); !whole || examples[0].Output != "PASS\n" {
			t.Errorf("%s: whole file: %t, output %q", name, whole, examples[0].Output)
		}
	}
}
