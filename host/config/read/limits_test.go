package read_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

func TestLimitsAreRead(t *testing.T) {
	got, err := parse(one("    limits: {open_files: 1024, core: 0, cpu: 60s, file_size: 1GB, memory: 512MiB, processes: 100}\n"), read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Limits{
		OpenFiles: 1024, Core: new(config.Size(0)), CPU: config.Duration(time.Minute),
		FileSize: 1e9, Memory: 512 * config.MiB, Processes: 100,
	}
	if diff := cmp.Diff(want, got.Actors[0].Limits); diff != "" {
		t.Error(diff)
	}
	// As a plugin that hosts plugins gets it.
	text, err := json.Marshal(got.Actors)
	var again []config.Actor
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if diff := cmp.Diff(got.Actors, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestF05_ProblemsOfLimits(t *testing.T) {
	const at = "f.yaml:4:25: actors.a.limits."
	for text, want := range map[string]string{
		"memory:    512":     at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "512"`,
		"memory:    512Mib":  at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "512Mib"`,
		"memory:    -1MiB":   at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "-1MiB"`,
		"memory:    0.3B":    at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "0.3B"`,
		"memory:    9e99TiB": at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "9e99TiB"`,
		"memory:    0x10KiB": at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "0x10KiB"`,
		"memory:    InfB":    at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got "InfB"`,
		"memory:    [1MiB]":  at + `memory: expected a size such as 512MiB, 1.5GiB or 1GB, got a list`,
		"memory:    1MiB":    at + `memory: expected at least 16MiB, which a plugin needs to come up, got 1MiB`,
		"memory:    0":       at + `memory: expected a number above zero, got "0"; to set none, leave the key out`,
		"core:      x":       at + `core: expected a size such as 512MiB, 1.5GiB or 1GB, got "x"`,
		"cpu:       1500ms":  at + `cpu: expected whole seconds, such as 60s, got 1.5s`,
		"cpu:       0":       at + `cpu: expected a duration above zero such as 500ms, 5s or 1m30s, got "0"`,
		"file_size: 0":       at + `file_size: expected a number above zero, got "0"; to set none, leave the key out`,
		"processes: 1":       at + `processes: expected at least 16, as threads count, got 1`,
		"processes: 0":       at + `processes: expected a number above zero, got "0"; to set none, leave the key out`,
		"open_files: 3":      "f.yaml:4:26: actors.a.limits." + `open_files: expected at least 32, which a plugin needs to come up, got 3`,
		"open_files: many":   "f.yaml:4:26: actors.a.limits." + `open_files: expected a whole number in decimal digits, got "many"`,
		"open_file: 99":      `f.yaml:4:14: actors.a.limits.open_file: unknown key; did you mean "open_files"?`,
	} {
		t.Run(text, func(t *testing.T) {
			tree, err := parse(one("    limits: {"+text+"}\n"), read.Options{})
			if err == nil {
				t.Fatalf("got %+v", tree.Actors[0].Limits)
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestF05_LimitsOfAProgramAreChecked(t *testing.T) {
	for want, l := range map[string]config.Limits{
		"limits.core: expected a size of 0 or more, got -1":                                 {Core: new(config.Size(-1))},
		"limits.cpu: expected whole seconds, such as 60s, got 1.5s":                         {CPU: config.Duration(1500 * time.Millisecond)},
		"limits.file_size: expected a size of 0 or more, got -5":                            {FileSize: -5},
		"limits.open_files: expected a whole number above zero, got -2":                     {OpenFiles: -2},
		"limits.memory: expected at least 16MiB, which a plugin needs to come up, got 12KB": {Memory: 12000},
		"limits.processes: expected at least 16, as threads count, got 2":                   {Processes: 2},
	} {
		if err := (config.Actor{Name: "a", Command: []string{"x"}, Limits: l}).Check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSizesAsText(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "1B": 1, "1KB": 1000, "1kB": 1000, "1 KiB": 1024, "1.5GiB": 3 << 29, "2TiB": 2 << 40, "2TB": 2e12, "0MiB": 0,
	} {
		if got, err := config.ParseSize(text); got != want || err != nil {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for size, want := range map[config.Size]string{0: "0", 1: "1B", 1024: "1KiB", 1500: "1500B", 3 << 29: "1536MiB", 2e12: "2TB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %s, want %s", size, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := config.Size(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
		if got, err := config.ParseSize(size.String()); got != size || err != nil {
			t.Fatalf("%d is written %v and read as %d, %v", size, size, got, err)
		}
	})
}
