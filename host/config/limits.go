package config

// Limits bound what an actor may use. Zero values set no limit. OpenFiles, Core,
// CPU and FileSize hold for each process of the actor by itself, those that it
// starts included; Memory and Processes for all of them together, the plugins that
// it hosts included, and need a cgroup with that controller. A start that cannot
// set a limit fails. Only Linux has them.
//
// The lower bounds are what a plugin in Go needs in order to come up at all. Below them it would
// die in ways that do not look like a limit.
type Limits struct {
	OpenFiles int      `yaml:"open_files" json:"open_files,omitempty" min:"32, which a plugin needs to come up"` // descriptors
	Core      *Size    `yaml:"core" json:"core,omitempty"`                                                       // size of a core dump; 0: none is written
	CPU       Duration `yaml:"cpu" json:"cpu,omitempty"`                                                         // processor time in all, in whole seconds
	FileSize  Size     `yaml:"file_size" json:"file_size,omitempty"`                                             // of a file that it writes
	Memory    Size     `yaml:"memory" json:"memory,omitempty" min:"16MiB, which a plugin needs to come up"`      // without swap
	// Processes counts threads as well, of which a Go program has about ten.
	Processes int `yaml:"processes" json:"processes,omitempty" min:"16, as threads count"`
}
