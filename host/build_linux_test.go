package host_test

import (
	"context"
	"debug/buildinfo"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
)

// useCache gives a test a cache of programs of its own.
func useCache(t *testing.T) (cache string) {
	t.Helper()
	goCache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("GOCACHE") == "" {
		t.Setenv("GOCACHE", filepath.Join(goCache, "go-build"))
	}
	cache = t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	return cache
}

// source is a folder with a module whose one program ends at once.
func source(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/p\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var package0 = []host.Spec{{Name: "p", Package: "."}}

// A program that needs no cgo is built without it, as it starts sooner then; one that does, or
// whose author wants it, is not.
func TestF08_CgoIsLeftOutWhereNobodyNeedsIt(t *testing.T) {
	const withC = "package main\n\n// int one() { return 1; }\nimport \"C\"\n\nfunc main() { _ = C.one() }\n"
	for name, of := range map[string]struct{ variable, flags, written, main, want string }{
		"nobody needs it":               {want: "0"},
		"the author wants it":           {variable: "1", want: "1"},
		"the author does not":           {variable: "0", want: "0"},
		"a package of it needs C":       {main: withC, want: "1"},
		"the race detector":             {flags: "-race", want: "1"},
		"the system's linker":           {flags: "-ldflags=-linkmode=external", want: "1"},
		"go env -w wants it":            {written: "CGO_ENABLED=1", want: "1"},
		"go env -w does not":            {written: "CGO_ENABLED=0", want: "0"},
		"a detector of go env -w":       {written: "GOFLAGS=-race", want: "1"},
		"a variable against go env -w":  {written: "CGO_ENABLED=1", variable: "0", want: "0"},
		"another setting of go env -w":  {written: "GOFLAGS=-mod=mod", want: "0"},
		"a detector that is overridden": {written: "GOFLAGS=-race", flags: "-mod=mod", want: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			useCache(t)
			t.Setenv("CGO_ENABLED", of.variable)
			t.Setenv("GOFLAGS", of.flags)
			dir := source(t)
			settings := filepath.Join(t.TempDir(), "env")
			t.Setenv("GOENV", settings)
			if err := os.WriteFile(settings, []byte("GOTOOLCHAIN=local\n"+of.written+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if of.main != "" {
				if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(of.main), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			actors, err := host.Build(t.Context(), dir, package0, nil)
			if err != nil {
				t.Fatal(err)
			}
			info, err := buildinfo.ReadFile(actors[0].Command[0])
			if err != nil {
				t.Fatal(err)
			}
			if want := (debug.BuildSetting{Key: "CGO_ENABLED", Value: of.want}); !slices.Contains(info.Settings, want) {
				t.Errorf("built with %v, expected %v", info.Settings, want)
			}
		})
	}
}

// What the go command has started may outlive it, with its output: the end of ctx ends a build all the
// same, whatever it is about.
func TestF08_ABuildEndsWithItsCtx(t *testing.T) { //nolint:tparallel // the environment is the process's
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	useCache(t)
	// It hangs at what the package's folder says, and waits at a pipe there for whoever reads its child's pid.
	script := "#!/bin/sh\nif [ \"$1\" = \"$(cat hangs)\" ]; then sleep 1000 & echo $! >pid; wait; fi\nexec " + tool + " \"$@\"\n"
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("CGO_ENABLED", "") // else nothing is listed
	t.Setenv("GOFLAGS", "")
	for _, command := range []string{"env", "list", "build"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel() // each waits a second for the output
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("not worth it")
			dir, failed, said := source(t), make(chan error, 1), make(chan string, 1)
			mark := filepath.Join(dir, "pid")
			if err := errors.Join(syscall.Mkfifo(mark, 0o600), os.WriteFile(filepath.Join(dir, "hangs"), []byte(command), 0o600)); err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := host.Build(ctx, dir, package0, nil)
				failed <- err
			}()
			go func() {
				text, err := os.ReadFile(mark)
				if err != nil {
					t.Error(err)
				}
				said <- string(text)
			}()
			pid := 0
			select {
			case text := <-said:
				var err error
				if pid, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
					t.Fatal(err)
				}
			case err := <-failed:
				t.Fatalf("it has ended before: %v", err)
			}
			cancel(why)
			if err := <-failed; !errors.Is(err, why) { // or never, until the test's own end
				t.Errorf("%v; want the cause of ctx", err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Errorf("what holds the output is gone: %v", err)
			}
		})
	}
}

// B16: any number of builds of one package may run at once.
func TestN20_OnePackageBuiltTwiceAtOnce(t *testing.T) {
	useCache(t)
	dir := source(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			actors, err := host.Build(t.Context(), dir, package0, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Stat(actors[0].Command[0]); err != nil || info.Size() == 0 {
				t.Errorf("the program: %v", err)
			}
		})
	}
	all.Wait()
}

// B17: a folder that others can change is not where programs are kept.
func TestF08_AFolderOfOthersIsNotUsed(t *testing.T) {
	tests := map[string]func(cache string) error{
		"written by others": func(cache string) error { return os.Chmod(cache, 0o777) },
		"a folder for all": func(cache string) error {
			return errors.Join(os.Mkdir(cache+"/trellis", 0), os.Chmod(cache+"/trellis", 0o777))
		},
		"a link": func(cache string) error {
			return errors.Join(os.Mkdir(cache+"/x", 0), os.Chmod(cache+"/x", 0o777), os.Symlink("x", cache+"/trellis"))
		},
		"a file": func(cache string) error { return os.WriteFile(cache+"/trellis", nil, 0o600) },
	}
	if os.Getuid() == 0 {
		tests["of another user"] = func(cache string) error {
			return errors.Join(os.Mkdir(cache+"/trellis", 0o700), os.Chown(cache+"/trellis", 65534, 65534))
		}
		tests["a link of another user"] = func(cache string) error {
			return errors.Join(os.Mkdir(cache+"/x", 0o700), os.Symlink("x", cache+"/trellis"), os.Lchown(cache+"/trellis", 65534, 65534))
		}
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			cache, temp := useCache(t), t.TempDir()
			t.Setenv("TMPDIR", temp)
			if err := spoil(cache); err != nil {
				t.Fatal(err)
			}
			folder, _, err := host.CleanPrograms(0)
			if err != nil || filepath.Dir(filepath.Dir(folder)) != temp {
				t.Errorf("programs are kept in %s, %v", folder, err)
			}
			if err := os.Chmod(filepath.Dir(folder), 0o777); err != nil {
				t.Fatal(err)
			}
			if folder, _, err := host.CleanPrograms(0); err == nil {
				t.Errorf("programs are kept in %s, though no folder is fit", folder)
			}
		})
	}
}

// U11: what is not needed is removed.
func TestF08_ProgramsAreNotKeptForEver(t *testing.T) {
	useCache(t)
	dir := source(t)
	build := func() (program string) {
		t.Helper()
		actors, err := host.Build(t.Context(), dir, package0, nil)
		if err != nil {
			t.Fatal(err)
		}
		return actors[0].Command[0]
	}
	program := build()
	old := time.Now().Add(-31 * 24 * time.Hour)
	other, left := filepath.Join(filepath.Dir(program), "other"), filepath.Join(filepath.Dir(program), "fresh-1")
	err := errors.Join(os.WriteFile(other, []byte("1234"), 0o700), os.Mkdir(left, 0o700), os.Chtimes(other, old, old), os.Chtimes(left, old, old))
	if err != nil {
		t.Fatal(err)
	}
	if build() != program {
		t.Error("the same package is another program")
	}
	entries, err := os.ReadDir(filepath.Dir(program))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(program) {
		t.Errorf("after a build there are %v, %v", entries, err)
	}
	if _, freed, err := host.CleanPrograms(time.Hour); err != nil || freed != 0 {
		t.Errorf("%d bytes of fresh programs were removed, %v", freed, err)
	}
	if _, freed, err := host.CleanPrograms(0); err != nil || freed == 0 {
		t.Errorf("%d bytes were removed, %v", freed, err)
	}
}

// builtAndRemoved gives actors whose programs are not in the cache any more.
func builtAndRemoved(t *testing.T) []host.Spec {
	t.Helper()
	useCache(t)
	actors, err := host.Build(t.Context(), source(t), package0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := host.CleanPrograms(0); err != nil {
		t.Fatal(err)
	}
	return actors
}

// F08: a program that was removed from the cache is built anew when its actor starts.
func TestF08_ARemovedProgramIsBuiltAnew(t *testing.T) {
	actors := builtAndRemoved(t)
	program := actors[0].Command[0]
	err := host.OpenNursery(context.Background(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, actors[0])
		return err
	})
	if start, ok := errors.AsType[*host.StartError](err); !ok || errors.Is(err, os.ErrNotExist) { // it is not a plugin
		t.Errorf("%v, %v", start, err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Error(err)
	}
}

// F08: only the program that was built is built anew: what a command begins with otherwise, a
// wrapper or another path, is never built over.
func TestF08_AProgramOfAnothersIsNotBuilt(t *testing.T) {
	actors := builtAndRemoved(t)
	program := actors[0].Command[0]
	dir := t.TempDir()
	t.Chdir(dir)
	for name, c := range map[string]struct {
		stage   string // at which it fails: a wrapper starts, and does not find what it wraps
		command []string
	}{
		"a wrapper of PATH":  {"handshake", []string{"nice", program}},
		"a relative path":    {"program", []string{"./mine", program}},
		"another path":       {"program", []string{filepath.Join(dir, "mine")}},
		"one beside its own": {"program", []string{program + "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			actor := actors[0]
			actor.Command = c.command
			err := host.OpenNursery(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
				_, err := n.Start(ctx, actor)
				return err
			})
			if start, ok := errors.AsType[*host.StartError](err); !ok || start.Stage != c.stage {
				t.Errorf("%v", err)
			}
			for _, path := range []string{program, program + "2", filepath.Join(dir, "nice"), filepath.Join(dir, "mine")} {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// F08: a host that is an actor itself builds the programs of its children anew.
func TestF08_ARemovedProgramOfAChildIsBuiltAnew(t *testing.T) {
	useCache(t)
	parent := spec(t, "parent", "hosting")
	parent.Actors = package0
	actors, err := host.Build(t.Context(), source(t), []host.Spec{parent}, nil)
	if err != nil {
		t.Fatal(err)
	}
	program := actors[0].Actors[0].Command[0]
	if _, _, err := host.CleanPrograms(0); err != nil {
		t.Fatal(err)
	}
	err = host.OpenTree(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, actors, func(context.Context, *host.Tree) error { return nil })
	if start, ok := errors.AsType[*host.StartError](err); !ok || errors.Is(err, os.ErrNotExist) { // it is not a plugin
		t.Errorf("%v, %v", start, err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Error(err)
	}
}

// X8: nothing in a package's name is an option of the go command.
func TestF09_APackageIsNotAnOption(t *testing.T) {
	useCache(t)
	dir := source(t)
	mark := filepath.Join(dir, "mark")
	tool := filepath.Join(dir, "tool")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\ntouch "+mark+"\nexec \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := host.Build(t.Context(), dir, []host.Spec{{Name: "p", Package: "-toolexec=" + tool}}, nil)
	if err == nil {
		t.Error("it was built")
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tool ran: %v", err)
	}
}

// F09: what keeps a package from being built is said with what was expected and what to do, also where the go command speaks of something else.
func TestF09_WhyAPackageDoesNotBuild(t *testing.T) {
	useCache(t)
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "")
	none, module := t.TempDir(), source(t)
	for _, dir := range []string{none, module} {
		for name, text := range map[string]string{"there/main.go": "package main\n\nfunc main() {}\n", "lib/lib.go": "package lib\n"} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ dir, pkg, want string }{
		{none, "./plugins/absent", "expected a folder at " + none + "/plugins/absent, there is none; correct the path"},
		{module, "./plugins/absent", "expected a folder at " + module + "/plugins/absent, there is none; correct the path"},
		{none, "./there", "expected a Go module, a go.mod in " + none + " or above it, there is none; make one with go mod init NAME"},
		{none, "example.com/absent", "expected a Go module, a go.mod in " + none},
		{module, "there", "expected an import path, or a folder that begins with ./, as ./there"},
		{module, "./lib", "package ./lib is not a program: expected package main"},
		{module, "./there", ""},
	} {
		_, err := host.Build(t.Context(), c.dir, []host.Spec{{Name: "p", Package: c.pkg}}, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("F09: %s in %s: %v; want %s", c.pkg, c.dir, err, c.want)
		}
	}
}
