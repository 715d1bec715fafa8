package host

import (
	"strings"
	"testing"
)

// U10: what go build -v says is progress or a problem, however it comes in pieces.
func TestOutputOfGoBuildIsTakenApart(t *testing.T) {
	const output = "go: downloading golang.org/x/net v0.50.0\ninternal/abi\nexample.com/x/v2\n# example.com/x\n./x.go:3:1: undefined: y\n\nnote: last"
	for _, step := range []int{1, 7, 1000} {
		var said []string
		o := &goOutput{say: func(line string) { said = append(said, line) }}
		for rest := output; rest != ""; rest = rest[min(step, len(rest)):] {
			if n, err := o.Write([]byte(rest[:min(step, len(rest))])); n != min(step, len(rest)) || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := strings.Join(said, "|"); got != "go: downloading golang.org/x/net v0.50.0|internal/abi|example.com/x/v2" {
			t.Errorf("in pieces of %d, progress is %q", step, got)
		}
		if got := o.problems.String() + string(o.line); got != "# example.com/x\n./x.go:3:1: undefined: y\n\nnote: last" {
			t.Errorf("in pieces of %d, problems are %q", step, got)
		}
	}
}

// F08: a program has the name of its package's folder, also where that is the folder of the file.
func TestF08_AProgramIsNamedAsItsFolder(t *testing.T) {
	for pkg, want := range map[string]string{".": "greeter-", "./": "greeter-", "..": "src-", "./cook": "cook-", "/x/y": "y-", "example.com/a/b": "b-"} {
		if got := programName("/src/greeter", pkg); !strings.HasPrefix(got, want) || len(got) != len(want)+8 {
			t.Errorf("F08: the program of %q is called %s", pkg, got)
		}
	}
}
