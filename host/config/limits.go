package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits bound what an actor may use. Zero values set no limit. OpenFiles, Core,
// CPU and FileSize hold for each process of the actor by itself, those that it
// starts included; Memory and Processes for all of them together, the plugins that
// it hosts included, and need a cgroup with that controller. A start that cannot
// set a limit fails. Only Linux has them.
type Limits struct {
	OpenFiles int      `yaml:"open_files" json:"open_files,omitempty"` // descriptors
	Core      *Size    `yaml:"core" json:"core,omitempty"`             // size of a core dump; 0: none is written
	CPU       Duration `yaml:"cpu" json:"cpu,omitempty"`               // processor time in all, in whole seconds
	FileSize  Size     `yaml:"file_size" json:"file_size,omitempty"`   // of a file that it writes
	Memory    Size     `yaml:"memory" json:"memory,omitempty"`         // without swap
	Processes int      `yaml:"processes" json:"processes,omitempty"`   // and their threads, of which a Go program has about ten
}

// What a plugin needs to come up at all, roughly.
const (
	MinOpenFiles = 32
	MinMemory    = 16 * MiB
	MinProcesses = 16
)

// Size is a number of bytes that is written as in "512MiB"; in JSON it is a number.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// unit is how a Size may be written, larger ones first.
type unit struct {
	name string
	size Size
}

var units = []unit{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// String writes the size as a whole number of the unit that makes it shortest.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	best := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range units {
		if text := strconv.FormatInt(int64(s/u.size), 10) + u.name; s%u.size == 0 && len(text) < len(best) {
			best = text
		}
	}
	return best
}

// ParseSize reads a size: a number, which may have a fraction, and a unit, B, KB,
// MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024). Only 0 needs no unit.
func ParseSize(text string) (Size, error) {
	if text == "0" {
		return 0, nil
	}
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		bytes := n * float64(u.size)
		if err != nil || strings.ContainsAny(number, "xXpPeE_iInN") || bytes < 0 || bytes >= math.MaxInt64 || bytes != math.Trunc(bytes) {
			break
		}
		return Size(bytes), nil
	}
	return 0, fmt.Errorf("expected a size such as 512MiB, 1.5GiB or 1GB, got %q", text)
}

var sizeType = reflect.TypeFor[Size]()

func (r *reader) decodeSize(n *yaml.Node, v reflect.Value, path string) {
	size, err := ParseSize(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.report(n, path, "expected a size such as 512MiB, 1.5GiB or 1GB, got %s", describe(n))
		return
	}
	v.SetInt(int64(size))
}

// Check says what is wrong with limits that were made by a program.
func (l Limits) Check() error {
	for _, f := range l.faults() {
		return fmt.Errorf("limits.%s: %s", f.key, f.message)
	}
	return nil
}

type limitFault struct{ key, message string }

// faults are the limits with which no actor could run.
func (l Limits) faults() (faults []limitFault) {
	wrong := func(key, format string, args ...any) {
		faults = append(faults, limitFault{key, fmt.Sprintf(format, args...)})
	}
	if l.OpenFiles != 0 && l.OpenFiles < MinOpenFiles {
		wrong("open_files", "expected at least %d, which a plugin needs to come up, got %d", MinOpenFiles, l.OpenFiles)
	}
	if l.Core != nil && *l.Core < 0 {
		wrong("core", "expected a size from 0 on, got %d", int64(*l.Core))
	}
	if cpu := time.Duration(l.CPU); cpu < 0 || cpu%time.Second != 0 {
		wrong("cpu", "expected whole seconds, such as 60s, got %v", l.CPU)
	}
	if l.FileSize < 0 {
		wrong("file_size", "expected a size above zero, got %d", int64(l.FileSize))
	}
	if l.Memory != 0 && l.Memory < MinMemory {
		wrong("memory", "expected at least %v, which a plugin needs to come up, got %v", MinMemory, l.Memory)
	}
	if l.Processes != 0 && l.Processes < MinProcesses {
		wrong("processes", "expected at least %d, as threads count, got %d", MinProcesses, l.Processes)
	}
	return faults
}

// validateLimits reports the limits with which no actor could run. n is the
// mapping; a zero stands for no limit only if nothing is written there.
func (r *reader) validateLimits(n *yaml.Node, l Limits, path string) {
	for _, f := range l.faults() {
		r.report(child(n, f.key), join(path, f.key), "%s", f.message)
	}
	for key, zero := range map[string]bool{
		"open_files": l.OpenFiles == 0, "file_size": l.FileSize == 0, "memory": l.Memory == 0, "processes": l.Processes == 0,
	} {
		if at := child(n, key); zero && at != nil && at.Value == "0" {
			r.report(at, join(path, key), "expected a limit above zero, got 0; remove the key if there is to be no limit")
		}
	}
}
