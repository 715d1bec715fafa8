package host_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

var getenv = contract.Func[string, string]("getenv")

func init() {
	role("surroundings", func() {
		sdk.Serve(getenv.Handle(func(_ context.Context, name string) (string, error) {
			if name == "argv[0]" {
				return os.Args[0], nil
			}
			return os.Getenv(name), nil
		}))
	})
}

// N20, B13: a plugin keeps the variables that its description gives it, and no others of
// its start.
func TestN20_ThePluginsOwnVariables(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "p", "surroundings")
		s.Env["PLUGIN_DATA_DIR"] = "/data"
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		want := map[string]string{"PLUGIN_DATA_DIR": "/data", "argv[0]": s.Command[0], environ.Cookie: "", environ.Name: ""}
		for _, name := range environ.GoPlugin() {
			want[name] = ""
		}
		for name, value := range want {
			if got, err := getenv.Call(ctx, p, name); err != nil || got != value {
				t.Errorf("%s is %q, %v, want %q", name, got, err, value)
			}
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// F09, B11: a Spec that is written in Go is refused as a file is.
func TestF09_SpecsThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(*host.Spec){
		"a reserved name": func(s *host.Spec) { s.Env["PLUGIN_MIN_PORT"] = "1" },
		"a name with =":   func(s *host.Spec) { s.Env["A=B"] = "1" },
		"a NUL":           func(s *host.Spec) { s.Command = append(s.Command, "a\x00b") },
	} {
		_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			s := spec(t, "p", "surroundings")
			spoil(&s)
			_, err := n.Start(ctx, s)
			return err
		})
		if start, ok := errors.AsType[*host.StartError](err); !ok || start.Stage != "spec" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// N20, B02: a relative path is meant where the description is given, also by a nested
// host that works elsewhere.
func TestN20_RelativePathsOfNestedActors(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Symlink(self, "plugin"), os.Mkdir("work", 0o700)); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s, leaf := spec(t, "p", "hosting"), spec(t, "leaf", "good")
		s.Command[0], leaf.Command[0] = "./plugin", "./plugin"
		s.Dir, leaf.Dir, s.Actors = "work", "work", []host.Spec{leaf}
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}
