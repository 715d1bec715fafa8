package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-2ba35074/trellis/shared/contract"
)

// venom clears the screen, sets the title, overwrites its line, and turns the
// direction of what follows, in the ways that there are.
const venom = "venom\x1b[2J\x1b]0;title\a\u009b2J\rhost: all is well\u202e\u2066\x7f"

var (
	spit   = contract.Func[none, string]("spit")
	choke  = contract.Func[none, none]("choke")
	drip   = contract.Source[none, string]("drip")
	flow   = contract.Context[none, none, none, map[string]string, none]("flow")
	mutter = contract.Func[none, none]("mutter")
	expire = contract.Func[none, none]("expire")
)

// venomous are jobs that put hostile text into every way out.
func venomous() []contract.Handler {
	return []contract.Handler{
		spit.Handle(func(context.Context, none) (string, error) { return venom, nil }),
		choke.Handle(func(context.Context, none) (none, error) {
			return none{}, fmt.Errorf("twice: %w", errors.Join(errors.New(venom), errors.New("second\nline")))
		}),
		drip.Handle(func(context.Context, none) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield(venom, nil) }
		}),
		flow.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, map[string]string]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return n, err
			}
			return n, stream.Send(ctx, map[string]string{venom: venom})
		}),
		mutter.Handle(func(context.Context, none) (none, error) {
			fmt.Println("printed " + venom)
			fmt.Fprintln(os.Stderr, "plain "+venom)
			slog.Warn("structured "+venom, "key "+venom, venom)
			return none{}, nil
		}),
		expire.Handle(func(context.Context, none) (none, error) { panic(venom) }),
	}
}

func TestO04_TextFromOutsideCannotSteerTheTerminal(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", fmt.Sprintf("actors: [{name: a, command: [%q], env: {%s: venomous, GORACE: %s}}]\n", self, roleVar, atOnce))
	bad := write("bad.yaml", fmt.Sprintf("actors: [{name: a, command: [x], %q: 1, restart: %q}]\n", "venom\x1b[2J\r\u202e", venom))
	write("go.mod", "module example.com/venom\n")
	write("venom.go", "package main\n\nfunc main() { venom\u200b\x1b[2J() }\n")
	building := write("building.yaml", "actors: [{name: a, package: .}]\n")
	dies := write("dies.yaml", fmt.Sprintf("actors: [{name: a, command: [sh, -c, %q]}]\n", "printf 'venom\\033[2J\\r\\n' >&2; exit 3"))
	job := func(endpoint string, more ...string) []string {
		return append([]string{"run", "-c", good, "--set", "run={actor: a, endpoint: " + endpoint + "}"}, more...)
	}
	for name, args := range map[string][]string{
		"a result":              job("spit"),
		"a result as JSON":      job("spit", "-o", "json"),
		"an error's story":      job("choke"),
		"messages of a source":  job("drip"),
		"progress of a context": job("flow"),
		"log lines":             job("mutter"),
		"a panic":               job("expire"),
		"an unknown endpoint":   job(`"venom\e[2J"`),
		"config problems":       {"validate", "-c", bad},
		"an unknown command":    {"venom\x1b[2J"},
		"an unknown flag":       {"run", "--venom\x1b[2J"},
		"a setting":             {"validate", "-c", good, "--set", "venom\x1b[2J\r"},
		"an argument":           job("spit", "venom\x1b[2J"),
		"a config's name":       {"validate", "-c", filepath.Join(dir, "venom\x1b[2J")},
		"a program's path":      {"run", "-c", good, "--set", `actors.a.command=["/venom\e[2J\r\nhost: fine"]`},
		"output of go build":    {"run", "-c", building},
		"last words":            {"run", "-c", dies},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			execute(args, &out, &errs)
			for _, text := range []string{out.String(), errs.String()} {
				if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsGraphic(r) }); i >= 0 {
					t.Errorf("%q reached the terminal in %q", text[i:i+1], text)
				}
				if strings.Contains(text, "\nhost: fine") {
					t.Errorf("a line is forged in %q", text)
				}
			}
			if all := out.String() + errs.String(); !strings.Contains(all, "venom") {
				t.Errorf("nothing of the text is shown: %q", all)
			}
		})
	}
}
