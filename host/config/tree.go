// Package config reads a tree of actors from a YAML file. It is strict: what it
// does not understand is a problem, and all problems of a file are reported at
// once, each with its file, line and column.
package config

import (
	"encoding/json"
	"fmt"
	"time"
)

// Tree is one config file.
type Tree struct {
	Name   string  `yaml:"name" json:"name"`
	Run    *Run    `yaml:"run" json:"run,omitempty"` // without it the tree serves
	Actors []Actor `yaml:"actors" json:"actors"`
}

// Run is the main job: one endpoint of one of the tree's own actors.
type Run struct {
	Actor    string         `yaml:"actor" json:"actor"`
	Endpoint string         `yaml:"endpoint" json:"endpoint"`
	Args     map[string]any `yaml:"args" json:"args,omitempty"`
}

// Actor says how to start one actor, and its replicas. Exactly one of Package and
// Command is set. Zero times mean the defaults.
type Actor struct {
	Name    string   `yaml:"name" json:"name"`
	Package string   `yaml:"package" json:"package,omitempty"` // a Go package, built on demand
	Command []string `yaml:"command" json:"command,omitempty"` // a program and its arguments
	Dir     string   `yaml:"dir" json:"dir,omitempty"`         // working directory; the host's if empty
	// Env is added to the few variables that every actor gets.
	Env           map[string]string    `yaml:"env" json:"env,omitempty"`
	Replicas      int                  `yaml:"replicas" json:"replicas,omitempty"`             // 1
	SHA256        string               `yaml:"sha256" json:"sha256,omitempty"`                 // of the program file, hex
	StartTimeout  Duration             `yaml:"start_timeout" json:"start_timeout,omitempty"`   // 1m: from start to ready
	CancelTimeout Duration             `yaml:"cancel_timeout" json:"cancel_timeout,omitempty"` // 500ms: for its tasks to end
	Grace         Duration             `yaml:"grace" json:"grace,omitempty"`                   // 5s: for its process to end
	Restart       string               `yaml:"restart" json:"restart,omitempty"`               // "temporary": never
	DependsOn     map[string]Condition `yaml:"depends_on" json:"depends_on,omitempty"`
	Actors        []Actor              `yaml:"actors" json:"actors,omitempty"` // started by this actor itself
}

// Condition is what an actor must be before those that depend on it start.
type Condition string

// Started is the one condition of this version: the actor is ready to be called.
const Started Condition = "started"

// Temporary is the one restart kind of this version: the actor is not restarted.
const Temporary = "temporary"

// MaxReplicas keeps a slip of the finger from starting a million processes.
const MaxReplicas = 1000

// Duration is a time.Duration that is written as in "1.5s".
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a duration from text.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	*d = Duration(parsed)
	return err
}

// Levels sorts siblings into groups: those of a group depend only on earlier
// groups. An unknown name and a cycle are errors.
func Levels(actors []Actor) ([][]Actor, error) {
	if cycle := findCycle(actors); cycle != nil {
		return nil, fmt.Errorf("depends_on is circular: %s", arrows(cycle))
	}
	level := map[string]int{}
	var depth func(a Actor) int
	byName := index(actors)
	depth = func(a Actor) int {
		if n, done := level[a.Name]; done {
			return n
		}
		n := 0
		for name := range a.DependsOn {
			if needed, ok := byName[name]; ok {
				n = max(n, depth(needed)+1)
			}
		}
		level[a.Name] = n
		return n
	}
	var levels [][]Actor
	for _, a := range actors {
		for name := range a.DependsOn {
			if _, ok := byName[name]; !ok {
				return nil, fmt.Errorf("actor %q depends on %q, which is none of its siblings", a.Name, name)
			}
		}
		n := depth(a)
		for len(levels) <= n {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], a)
	}
	return levels, nil
}

func index(actors []Actor) map[string]Actor {
	byName := make(map[string]Actor, len(actors))
	for _, a := range actors {
		byName[a.Name] = a
	}
	return byName
}
