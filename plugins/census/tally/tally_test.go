package tally

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseSource(t *testing.T) {
	cases := map[string]struct {
		src  string
		want File
	}{
		"empty":            {"", File{Problem: "f.go:1:1: expected 'package', found 'EOF'"}},
		"no last newline":  {"package p", File{Lines: 1, Package: "p"}},
		"carriage returns": {"package p\r\n\r\nvar X int\r\n", File{Lines: 3, Package: "p", Exported: 1}},
		"byte order mark":  {"\ufeffpackage p\n", File{Lines: 1, Package: "p"}},
		"only a comment":   {"// x\n", File{Lines: 1, Problem: "f.go:1:6: expected 'package', found 'EOF'"}},
		"imports":          {"package p\nimport \"C\"\nimport (\n\tm \"math\"\n\t_ \"os\"\n)\n", File{Lines: 6, Package: "p", Imports: []string{"C", "math", "os"}}},
		"exported": {
			"package p\ntype T struct{ F int }\ntype u int\nconst A, b = 1, 2\nvar (\n\tC int\n\t_ = 3\n)\n",
			File{Lines: 8, Package: "p", Exported: 3},
		},
		"functions": {
			"package p\nfunc F() {\n}\nfunc g[T any]() {}\n",
			File{Lines: 4, Package: "p", Functions: 2, Exported: 1, Longest: Function{"F", 2, "f.go:2"}},
		},
		"methods": {
			"package p\nfunc (L[K, V]) a() {}\nfunc (l *L[K]) B() {\n\n}\nfunc (*(T)) c() {}\n",
			File{Lines: 6, Package: "p", Methods: 3, Exported: 1, Longest: Function{"(*L).B", 3, "f.go:3"}},
		},
		"broken": {"package p\nfunc {\n", File{Lines: 2, Problem: "f.go:2:6: expected 'IDENT', found '{'"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Path, c.want.Bytes = Path("f.go"), int64(len(c.src))
			if diff := cmp.Diff(c.want, ParseSource(Path("f.go"), []byte(c.src))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileOverTheLimitIsCountedAndNotParsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.go")
	write(t, path, "package p\n"+strings.Repeat("//\n", 100)+"last")
	got := parse(Path(path), 20)
	if got.Lines != 102 || got.Bytes != 10+300+4 || got.Problem != "larger than 20 bytes: counted, not parsed" || got.Package != "" {
		t.Errorf("got %+v", got)
	}
}

func TestFileThatCannotBeReadIsReported(t *testing.T) {
	for path, want := range map[string]string{t.TempDir(): "is a directory", "/does/not/exist.go": "no such file or directory"} {
		if got := Parse(Path(path)); got.Problem != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.go", "a/z.go", "a/testdata/x.go", "_skip/y.go", "c.txt", "d.go/e.go", "two\nlines.go", "bad\xff.go"} {
		write(t, filepath.Join(dir, name), "package p\n")
	}
	for link, target := range map[string]string{"link.go": "b.go", "loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Symlink(dir, root); err != nil {
		t.Fatal(err)
	}
	want := []string{"_skip/y.go", "a/testdata/x.go", "a/z.go", "b.go", "bad\xff.go", "d.go/e.go", "two\nlines.go"}
	for _, from := range []string{dir, dir + "//", root} {
		var got []string
		for f, err := range Walk(t.Context(), from) {
			if err != nil || f.Problem != "" {
				t.Fatalf("%+v, %v", f, err)
			}
			rel, err := filepath.Rel(from, string(f.Path))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rel)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %s: %s", from, diff)
		}
	}
}

func TestWalkOfNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.go")
	write(t, file, "package p\n")
	for root, want := range map[string]error{"": nil, "/does/not/exist": fs.ErrNotExist, file: fs.ErrInvalid} {
		n := 0
		for _, err := range Walk(t.Context(), root) {
			if n++; err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%q: %v", root, err)
			}
		}
		if n != 1 {
			t.Errorf("%q: %d values", root, n)
		}
	}
}

func TestWalkStops(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.go", "b.go", "c.go"} {
		write(t, filepath.Join(dir, name), "package p\n")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("enough")
	n := 0
	for _, err := range Walk(ctx, dir) {
		if n++; n == 2 && err != stop { //nolint:errorlint // the very same
			t.Errorf("got %v", err)
		}
		cancel(stop)
	}
	if n != 2 {
		t.Errorf("%d values after the ctx had ended", n)
	}
}

func TestPathsForPeople(t *testing.T) {
	for path, want := range map[string]string{"a/b c.go": "a/b c.go", "ä.go": "ä.go", "x\ny.go": `"x\ny.go"`, "\xff": `"\xff"`} {
		if got := Path(path).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The order in which files come makes no difference.
func TestTallyIsOrderIndependent(t *testing.T) {
	name := rapid.StringMatching(`[a-c]/[a-c]\.go`)
	file := rapid.Custom(func(r *rapid.T) File {
		f := File{
			Path: Path(name.Draw(r, "path")), Lines: rapid.IntRange(0, 9).Draw(r, "lines"), Bytes: 7,
			Package: rapid.StringMatching(`[pq]`).Draw(r, "package"), Functions: 1, Exported: 2,
			Imports: rapid.SliceOfN(rapid.StringMatching(`[a-z]`), 0, 4).Draw(r, "imports"),
		}
		f.Longest = Function{"f", rapid.IntRange(0, 3).Draw(r, "longest"), f.Path.String() + ":1"}
		if rapid.Bool().Draw(r, "broken") {
			f.Problem = rapid.StringMatching(`[xy]`).Draw(r, "problem")
		}
		return f
	})
	rapid.Check(t, func(r *rapid.T) {
		files := rapid.SliceOf(file).Draw(r, "files")
		sum := func(files []File) Report {
			var sum Tally
			for _, f := range files {
				sum.Add(f)
			}
			return sum.Report()
		}
		want := sum(files)
		if want.Files != len(files) {
			r.Fatalf("%d files of %d", want.Files, len(files))
		}
		other := slices.Clone(files)
		slices.Reverse(other)
		if diff := cmp.Diff(want, sum(other)); diff != "" {
			r.Error(diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	path := "file.go"
	for b.Loop() {
		if f := Parse(Path(path)); f.Problem != "" {
			b.Fatal(f.Problem)
		}
	}
}
