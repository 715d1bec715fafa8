package read_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/dialog"
)

func docs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// described is a row of the docs: a key, its type and its default.
type described struct{ key, kind, otherwise string }

var keyRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (.+?) \\| (.+?) \\| (.+?) \\|$")

// sections are the rows of each part of the docs that describes keys.
func sections(t *testing.T) map[string][]described {
	t.Helper()
	found := map[string][]described{}
	for _, part := range strings.Split(docs(t), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		_, table, has := strings.Cut(body, "| key | type | default | meaning |\n")
		if !has {
			continue
		}
		table, _, _ = strings.Cut(table, "\n\n")
		title = strings.Trim(title, "`")
		for _, row := range keyRow.FindAllStringSubmatch(table, -1) {
			found[title] = append(found[title], described{row[1], row[2], row[3]})
		}
		if strings.Count("\n"+table, "\n| ") != len(found[title]) {
			t.Errorf("the table of %q has lines that are not rows of a key", title)
		}
	}
	return found
}

// fields are the keys of each struct that a file can have, by the key that it stands
// behind.
func fields(of reflect.Type, title string, found map[string][]reflect.StructField) {
	if _, done := found[title]; done {
		return
	}
	found[title] = slices.DeleteFunc(reflect.VisibleFields(of), func(f reflect.StructField) bool { return f.Tag.Get("yaml") == "-" })
	for _, f := range found[title] {
		if inner := structIn(f.Type); inner != nil {
			fields(inner, f.Tag.Get("yaml"), found)
		}
	}
}

// structIn is the struct that a field holds, perhaps in a list; nil if none.
func structIn(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// kindOf is how the docs write the type of a field.
func kindOf(t reflect.Type, key string) string {
	switch {
	case t == reflect.TypeFor[config.Size](), t == reflect.TypeFor[*config.Size]():
		return "size"
	case t == reflect.TypeFor[config.Duration]():
		return "duration"
	case t == reflect.TypeFor[config.Condition]():
		return choice(config.Started, config.Healthy)
	case t == reflect.TypeFor[config.RestartKind]():
		return choice(config.Temporary, config.Transient, config.Permanent)
	case t == reflect.TypeFor[config.Strategy]():
		return choice(config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne)
	case t == reflect.TypeFor[config.Protocol]():
		return choice(config.GRPC, config.HTTP)
	case t == reflect.TypeFor[config.MTLS]():
		return choice(config.MTLSAuto, config.MTLSOff)
	case t == reflect.TypeFor[config.WhenStuck]():
		return choice(config.WarnWhenStuck, config.RestartWhenStuck)
	case t == reflect.TypeFor[config.WhileDown]():
		return choice(config.WaitWhileDown, config.FailWhileDown)
	case t == reflect.TypeFor[config.OnRegistryLoss]():
		return choice(config.StopOnRegistryLoss, config.KeepOnRegistryLoss)
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Int:
		return "whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Interface:
		return "anything"
	case reflect.Map:
		return "mapping to " + plural(kindOf(t.Elem(), key))
	case reflect.Slice:
		return "list of " + plural(kindOf(t.Elem(), key))
	case reflect.Pointer:
		return kindOf(t.Elem(), key)
	case reflect.Struct:
		return "[mapping](#" + key + ")"
	default:
		return "no type that the docs have a word for: " + t.String()
	}
}

// isChoice reports whether a text, or each text in a mapping, is of a type that has constants.
func isChoice(t reflect.Type) bool {
	if t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && t != reflect.TypeFor[string]()
}

func plural(kind string) string {
	switch kind {
	case "text":
		return "texts"
	case "whole number":
		return "whole numbers"
	case "[mapping](#actors)":
		return "[actors](#actors)"
	}
	return kind
}

func choice[T ~string](words ...T) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, "`"+string(w)+"`")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// Every key of a file stands in the docs, with its type and its default, and no other
// key does.
func TestDocsHaveEveryKey(t *testing.T) {
	structs := map[string][]reflect.StructField{}
	fields(reflect.TypeFor[config.Tree](), "The file", structs)
	inDocs := sections(t)
	for title := range inDocs {
		if structs[title] == nil {
			t.Errorf("docs/config.md describes the keys of %q, which is nothing in a file", title)
		}
	}
	for title, fields := range structs {
		var want, got []described
		for _, f := range fields {
			d := described{f.Tag.Get("yaml"), kindOf(f.Type, f.Tag.Get("yaml")), ""}
			if words := strings.Fields(f.Tag.Get("oneof")); isChoice(f.Type) != (len(words) > 0) || len(words) > 0 && !strings.HasSuffix(d.kind, choice(words...)) {
				t.Errorf("%s: the tag oneof has the words %q, and there are constants for %s", d.key, words, d.kind)
			}
			if text := f.Tag.Get("default"); text != "" {
				d.otherwise = "`" + text + "`"
			}
			want = append(want, d)
		}
		for _, d := range inDocs[title] {
			if !strings.Contains(d.otherwise, "`") {
				d.otherwise = "" // words, for what has no default
			}
			got = append(got, d)
		}
		order := func(a, b described) int { return strings.Compare(a.key, b.key) }
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(described{})); diff != "" {
			t.Errorf("the section %q of docs/config.md (+) and the code (-) differ:\n%s", title, diff)
		}
	}
}

var block = regexp.MustCompile("(?ms)^```(yaml|text|sh)\n(.*?)^```$")

// What the docs show as a file is one, and what they show below a file are its
// problems.
func TestDocsShowFilesAsTheyAre(t *testing.T) {
	blocks := block.FindAllStringSubmatch(docs(t), -1)
	files, wrong := 0, 0
	for i, b := range blocks {
		if b[1] != "yaml" {
			continue
		}
		files++
		_, err := read.Parse("config.yaml", []byte(b[2]), read.Options{Lookup: onlyGoroot})
		switch isWrong := i+1 < len(blocks) && blocks[i+1][1] == "text"; {
		case !isWrong && err != nil:
			t.Errorf("%v\n%s", err, b[2])
		case isWrong:
			wrong++
			if err == nil || err.Error()+"\n" != blocks[i+1][2] {
				t.Errorf("got\n%v\nthe docs say\n%s", err, blocks[i+1][2])
			}
		}
	}
	if files < 2 || wrong == 0 {
		t.Errorf("the docs show %d files, %d of them wrong", files, wrong)
	}
}

func onlyGoroot(name string) (string, bool) { return "/go", name == "GOROOT" }

var quoted = regexp.MustCompile(`'([^']*)'|(\S+)`)

// The command lines of the docs work with the file that comes with the project.
func TestDocsShowOptionsThatWork(t *testing.T) {
	lines := 0
	for _, b := range block.FindAllStringSubmatch(docs(t), -1) {
		if b[1] != "sh" {
			continue
		}
		for line := range strings.Lines(b[2]) {
			if !strings.HasPrefix(line, "host run ") {
				continue
			}
			var o read.Options
			lines++
			var words []string
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				words = append(words, m[1]+m[2])
			}
			for i := 2; i < len(words); i++ { // behind host run
				if words[i] == "--set" {
					i++
					o.Set = append(o.Set, words[i])
				} else {
					o.Args = append(o.Args, words[i])
				}
			}
			o.Lookup = onlyGoroot
			if _, err := read.Load("../../../config.yaml", o); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if lines == 0 {
		t.Error("the docs show no command line")
	}
}

// What stands for nothing is what the runtime does with nothing.
func TestDefaults(t *testing.T) {
	want := config.Actor{
		Replicas: 1, Restart: config.Temporary, Stuck: config.WarnWhenStuck, WhileDown: config.WaitWhileDown,
		StartTimeout: config.Duration(time.Minute), CancelTimeout: config.Duration(dialog.DefaultCancelTimeout),
		Grace: config.Duration(5 * time.Second), TermTimeout: config.Duration(1600 * time.Millisecond),
		Backoff: config.Backoff{
			Initial: config.Duration(100 * time.Millisecond), Max: config.Duration(10 * time.Second), Reset: config.Duration(30 * time.Second),
		},
		Health: config.Health{Interval: config.Duration(2 * time.Second), Timeout: config.Duration(time.Second), Failures: 3},
		Streams: config.Streams{
			Messages: dialog.DefaultMessages, Bytes: dialog.DefaultBytes, ReadyTimeout: config.Duration(dialog.DefaultReadyTimeout),
		},
		Supervision: config.Supervision{Strategy: config.OneCancelsAll, MaxRestarts: 3, Window: config.Duration(5 * time.Second)},
	}
	if diff := cmp.Diff(want, config.Actor{}.WithDefaults()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.Supervision, config.Supervision{}.WithDefaults()); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsLeaveWhatIsSet(t *testing.T) {
	a := config.Actor{
		Name: "a", Restart: config.Permanent, Grace: config.Duration(time.Hour), Health: config.Health{Off: true, Failures: 9},
		Actors: []config.Actor{{Name: "b"}},
	}
	want := config.Actor{}.WithDefaults()
	want.Name, want.Restart, want.Grace, want.Actors = "a", config.Permanent, config.Duration(time.Hour), []config.Actor{{Name: "b"}}
	want.Health.Off, want.Health.Failures = true, 9
	if diff := cmp.Diff(want, a.WithDefaults()); diff != "" {
		t.Error(diff)
	}
	if a.Replicas != 0 {
		t.Error("the actor itself was changed")
	}
}
