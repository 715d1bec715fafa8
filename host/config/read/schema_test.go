package read_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config/read"
)

const root = "../../.."

// schema is that of config files, as host schema prints it: a test of the command holds the file to it.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs", "config.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judgeBySchema is what an editor says of a file.
func judgeBySchema(s *jsonschema.Schema, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return s.Validate(asJSON(v))
}

// asJSON is a value of YAML as an editor hands it to a schema.
func asJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = asJSON(value)
		}
	case map[any]any:
		object := map[string]any{}
		for key, value := range v {
			object[fmt.Sprint(key)] = asJSON(value)
		}
		return object
	case []any:
		for i, item := range v {
			v[i] = asJSON(item)
		}
	case time.Time:
		return v.Format(time.DateOnly)
	}
	return v
}

var inScript = regexp.MustCompile(`(?m)^-- \S+\.yaml --\n((?:[^-].*\n|-[^-].*\n|\n)*)`)

// ourFiles are all config files of the repository that are read without a problem: those that stand by
// themselves, in docs and in scripts.
func ourFiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	note := func(name, text string) {
		lookup := func(string) (string, bool) { return "1", true }
		if _, err := read.Parse(name, []byte(text), read.Options{Lookup: lookup}); err == nil {
			found[name] = text
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		var form *regexp.Regexp
		switch filepath.Ext(path) {
		case ".yaml", ".md":
			form = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
		case ".txtar":
			form = inScript
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if filepath.Ext(path) == ".yaml" {
			note(path, string(text))
		}
		for i, m := range form.FindAllStringSubmatch(string(text), -1) {
			note(fmt.Sprintf("%s#%d", path, i), m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheSchemaTakesAllOurFiles(t *testing.T) {
	s, all := schema(t), ourFiles(t)
	for _, name := range []string{"config.yaml", "trellistest/testdata/shop.yaml", "docs/config.md#0"} {
		if all[filepath.Join(root, name)] == "" {
			t.Errorf("%s was not found, or is not valid", name)
		}
	}
	for name, text := range all {
		if err := judgeBySchema(s, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// What one of the two refuses the other one refuses, too, where the schema can know it.
func TestTheSchemaRefusesWhatTheReaderDoes(t *testing.T) {
	s := schema(t)
	for _, text := range []string{
		"", "[]", "name: x", "actors: []", "actors: {}", "actors:", "actors: [x]", "actors: [{}]",
		one("    replica: 2"), one("    replicas: 0"), one("    replicas: 1001"), one("    replicas: 1.5"), one("    replicas: '2'"),
		one("    replicas: -1"), one("    standby: 17\n    restart: permanent"), one("    restart: always"), one("    restart: [transient]"), one("    restart:"),
		one("    grace: 5"), one("    grace: -5s"), one("    grace: 5 s"), one("    grace: 1d"), one("    grace: ''"), one("    sha256: ''"), one("    package: ./x"),
		one("    limits: {memory: 16}"), one("    limits: {memory: 1XB}"), one("    limits: {core: 1}"), one("    limits: {open_files: 31}"), one("    limits: {cpu: 0}"),
		one("    limits: {memory: 1e3MiB}"), one("    health: {timeout: 5}"), one("    health: {off: 'no'}"), one("    health: {failures: 0}"), one("    health: 5s"),
		one("    depends_on: {b: ready}"), one("    depends_on: [b]"), one("    env: [a]"), one("    env: {A: [b]}"), one("    env: {A: }"),
		one("    callers: parent"), one("    callers: [{}]"), one("    streams: {messages: 1073741825}"), one("    streams: {window: 1}"),
		one("    backoff: {max: 5s}"), one("    standby: 1"), one("    while_down: fail"), one("    while_down: fall\n    restart: permanent"), one("    stuck: kill"),
		one("    goplugin: {cookie: {A: b}}"), one("    goplugin: {versions: [1]}"), one("    goplugin: {cookie: {}, versions: [1]}"),
		one("    goplugin: {cookie: {A: b}, versions: []}"), one("    goplugin: {cookie: {A: b}, versions: [-1]}"), one("    goplugin: {cookie: {A: b}, versions: [1], mtls: on}"),
		one("    actors: [{name: b}]"), one("    supervision: {strategy: all}"), one("") + "supervision: {max_restarts: 0}", one("") + "run: {}",
		one("") + "run: {actor: a}", one("") + "run: {endpoint: e}", one("") + "run: {actor: a, endpoint: ''}", one("") + "run: {actor: a, endpoint: e, args: }",
		"actors: [{name: A, command: [x]}]", "actors: [{name: '', command: [x]}]", "actors: [{name: -a, command: [x]}]", "actors: [{command: [x]}]",
		"actors: [{name: " + strings.Repeat("a", 64) + ", command: [x]}]", "actors: [{name: a}]", "actors: [{name: a, command: []}]", "actors: [{name: a, package: ''}]",
	} {
		if _, err := parse(text, read.Options{}); err == nil {
			t.Errorf("the reader takes\n%s", text)
		}
		if err := judgeBySchema(s, text); err == nil {
			t.Errorf("the schema takes\n%s", text)
		}
	}
}

// What only looks wrong the schema takes, as the reader does.
func TestTheSchemaTakesWhatTheReaderDoes(t *testing.T) {
	s := schema(t)
	for _, text := range []string{
		one("    replicas: ${N}"), one("    grace: ${N}s"), one("    restart: ${R:-permanent}"), one("    health:\n      off: ${R:-true}"),
		one("    limits: {core: 0, memory: 1.5GiB, file_size: ' 20 kB'}"), one("    limits: {core: '0'}"), one("    limits: {core: 5MB}"),
		one("    env: {GOMAXPROCS: 1, V: 1.10, B: true, E: ''}"), one("    dir: ''"), one("    env: {}"), one("    backoff: {}"), one("    actors: []"),
		one("    grace: 1h2m3.5s"), one("    grace: +1m"), one("    grace: 1.s"), one("    grace: .5s"), one("    grace: 5µs"), one("    term_timeout: 1ms"),
		one("    goplugin: {cookie: {A: b}, versions: [0, 3], mtls: off, multiplex: TRUE}"), "name: ''\n" + one(""), "name: 5\n" + one(""),
		one("") + "run: {actor: a, endpoint: 1, args: 2024-01-01}", one("") + "run: {actor: a, endpoint: e, args: [1, {a: null}]}",
		"actors: [{name: 1, command: ['x', '']}]", "actors: [{name: " + strings.Repeat("a", 63) + ", command: [x]}]", "actors: [{name: '${N}', command: [x]}]",
		"actors: [{name: a, package: ./a, command: []}]", "{\"actors\": [{\"name\": \"a\", \"command\": [\"x\"]}]}",
	} {
		if _, err := parse(text, read.Options{}); err != nil {
			t.Errorf("the reader refuses\n%s: %v", text, err)
		}
		if err := judgeBySchema(s, text); err != nil {
			t.Errorf("the schema refuses\n%s: %v", text, err)
		}
	}
}

// The schema describes every key, and the docs call those required that it does.
func TestTheSchemaSaysWhatTheDocsDo(t *testing.T) {
	type structure struct {
		Properties map[string]struct{ Description string }
		Required   []string
	}
	var s struct {
		structure
		Definitions map[string]structure
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "config.schema.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	for title, keys := range sections(t) {
		in, ok := s.Definitions[title]
		if title == "The file" {
			in, ok = s.structure, true
		}
		if !ok || len(in.Properties) != len(keys) {
			t.Errorf("%s: the docs have %d keys, the schema %d", title, len(keys), len(in.Properties))
		}
		for _, key := range keys {
			if len(in.Properties[key.key].Description) < 2 {
				t.Errorf("%s.%s is not described", title, key.key)
			}
			if required := slices.Contains(in.Required, key.key); required != (key.otherwise == "required") {
				t.Errorf("%s.%s: required in the schema: %v; the docs say %s", title, key.key, required, key.otherwise)
			}
		}
	}
}
