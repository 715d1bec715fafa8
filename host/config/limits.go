package config

import "time"

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

// limits checks that an actor can run within them.
func (c *checker) limits(l Limits, at *place) {
	if l.OpenFiles > 0 && l.OpenFiles < MinOpenFiles {
		c.note(at.key("open_files"), "expected at least %d, which a plugin needs to come up, got %d", MinOpenFiles, l.OpenFiles)
	}
	if cpu := time.Duration(l.CPU); cpu%time.Second != 0 {
		c.note(at.key("cpu"), "expected whole seconds, such as 60s, got %v", l.CPU)
	}
	if l.Memory > 0 && l.Memory < MinMemory {
		c.note(at.key("memory"), "expected at least %v, which a plugin needs to come up, got %v", MinMemory, l.Memory)
	}
	if l.Processes > 0 && l.Processes < MinProcesses {
		c.note(at.key("processes"), "expected at least %d, as threads count, got %d", MinProcesses, l.Processes)
	}
}
