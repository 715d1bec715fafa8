package config

import "time"

// Tree is one config file. Like all types here it is plain data, without a lock and without an
// owner: whoever has read or written one may copy it, and must not change it once it was handed
// to a host. The yaml tags are the keys of the file, and package read knows no others; the json
// tags are what one host sends to another, and their names are a part of the protocol.
type Tree struct {
	Name   string  `yaml:"name" json:"name" empty:"ok"`
	Run    *Run    `yaml:"run" json:"run,omitempty"` // without it the tree serves
	Actors []Actor `yaml:"actors" json:"actors"`
	// Supervision of the tree's own actors.
	Supervision Supervision `yaml:"supervision" json:"supervision,omitzero"`
	Telemetry   Telemetry   `yaml:"telemetry" json:"telemetry,omitzero"`
	// Fleet is for the root of a tree.
	Fleet Fleet `yaml:"fleet" json:"fleet,omitzero"`
}

// Telemetry says how much the root of a tree keeps of what its actors say, and where that is sent.
type Telemetry struct {
	// Records is how many records of logs, a KiB each; a larger one counts as several.
	Records int `yaml:"records" json:"records,omitempty" default:"50000" max:"10000000"`
	// Spans is how many spans of calls, starts and ends, as with Records. Without it none are made.
	Spans int  `yaml:"spans" json:"spans,omitempty" max:"10000000"`
	OTLP  OTLP `yaml:"otlp" json:"otlp,omitzero"`
}

// Run is the main job: one endpoint of one of the tree's own actors.
type Run struct {
	Actor    string `yaml:"actor" json:"actor"`
	Endpoint string `yaml:"endpoint" json:"endpoint"`
	// Args is any value that JSON has; nil stands for no arguments. Numbers that were
	// read from a file are json.Numbers, so that each keeps its value: a float64 has no
	// 9007199254740993, which may be somebody's id.
	Args any `yaml:"args" json:"args,omitempty"`
}

// Actor says how to start one actor, and its replicas. Exactly one of Package and
// Command is set. A zero field has its default, which its tag names: see
// [Actor.WithDefaults]. The tags min and max bound a number; oneof has the words that a text
// may be; zero says what to write for none of something instead of 0, and empty that a file may
// have an empty text there.
type Actor struct {
	Name    string   `yaml:"name" json:"name"`
	Package string   `yaml:"package" json:"package,omitempty"` // a Go package, built on demand
	Command []string `yaml:"command" json:"command,omitempty"` // a program and its arguments
	// Built is what the program of Command was built from, so that it can be built again
	// while Command begins with it: host.Build says it, and a file cannot.
	Built *Built `yaml:"-" json:"built,omitempty"`
	Dir   string `yaml:"dir" json:"dir,omitempty" empty:"ok"` // working directory; the host's if empty
	// Env is added to the few variables that every actor gets.
	Env map[string]string `yaml:"env" json:"env,omitempty"`
	// Replicas is how many processes of it there are, all with these settings.
	Replicas int `yaml:"replicas" json:"replicas,omitempty" default:"1" max:"1000"`
	// Standby is how many more processes of the program are started ahead, for all replicas
	// together: each waits to be booted, and the next start or restart takes one.
	Standby       int         `yaml:"standby" json:"standby,omitempty" max:"16"`
	SHA256        string      `yaml:"sha256" json:"sha256,omitempty"`                                 // of the program file, hex
	StartTimeout  Duration    `yaml:"start_timeout" json:"start_timeout,omitempty" default:"1m"`      // from start to ready
	CancelTimeout Duration    `yaml:"cancel_timeout" json:"cancel_timeout,omitempty" default:"500ms"` // for its tasks to end
	Grace         Duration    `yaml:"grace" json:"grace,omitempty" default:"5s"`                      // for its process to end
	TermTimeout   Duration    `yaml:"term_timeout" json:"term_timeout,omitempty" default:"1.6s"`      // from SIGTERM to SIGKILL
	Restart       RestartKind `yaml:"restart" json:"restart,omitempty" default:"temporary" oneof:"temporary transient permanent"`
	Backoff       Backoff     `yaml:"backoff" json:"backoff,omitzero"`
	Limits        Limits      `yaml:"limits" json:"limits,omitzero"` // none
	Health        Health      `yaml:"health" json:"health,omitzero"`
	// Debug is for an actor under a debugger, which may stand still for as long as it
	// likes: no health checks, no bounds for its start, its end and its streams.
	Debug     bool                 `yaml:"debug" json:"debug,omitempty" default:"false"`
	Stuck     WhenStuck            `yaml:"stuck" json:"stuck,omitempty" default:"warn" oneof:"warn restart"`
	Streams   Streams              `yaml:"streams" json:"streams,omitzero"`
	WhileDown WhileDown            `yaml:"while_down" json:"while_down,omitempty" default:"wait" oneof:"wait fail"`
	DependsOn map[string]Condition `yaml:"depends_on" json:"depends_on,omitempty" oneof:"started healthy"`
	// On says on which machine it runs, by an agent that has joined the tree; nil: where its host does.
	// It is for actors of the root.
	On *On `yaml:"on" json:"on,omitempty"`
	// Callers are who may call it: "parent", its hosts, who always may; "children", "siblings",
	// "tree" and "joined", as contract.Handler.Callers has them; and names and paths of actors. Nil
	// stands for what its endpoints say, or else its parent, children and siblings.
	Callers []string `yaml:"callers" json:"callers,omitempty"`
	// GoPlugin makes this a foreign program: a go-plugin binary that knows nothing of
	// Trellis.
	GoPlugin *GoPlugin `yaml:"goplugin" json:"goplugin,omitempty"`
	// MCP says that the command is a server of the Model Context Protocol, of which the command host makes a plugin.
	MCP    *MCP    `yaml:"mcp" json:"mcp,omitempty"`
	Actors []Actor `yaml:"actors" json:"actors,omitempty"` // started by this actor itself
	// Supervision of Actors by this actor.
	Supervision Supervision `yaml:"supervision" json:"supervision,omitzero"`
}

// Built is a Go package, the folder from which the go command built it, and the program
// that it became. Built programs live in a cache that somebody may clear while the host runs; an
// actor that restarts then needs more than the path of its program. It goes to nested hosts with
// the rest, who build again themselves.
type Built struct {
	Package string `json:"package"`
	Dir     string `json:"dir"`
	Program string `json:"program"`       // an absolute path
	Sum     string `json:"sum,omitempty"` // of the program then, in hex, by which another one is told apart
}

// Condition is what an actor must be before those that depend on it start.
type Condition string

// The conditions.
const (
	Started Condition = "started" // it is ready to be called
	Healthy Condition = "healthy" // a health check of it has succeeded as well
)

// RestartKind is whether an actor that has ended comes back.
type RestartKind string

// The restart kinds.
const (
	Temporary RestartKind = "temporary" // never
	Transient RestartKind = "transient" // after a failure
	Permanent RestartKind = "permanent" // always, unless somebody ended it on purpose
)

// Strategy says what one actor's failure means for its siblings.
type Strategy string

// The strategies.
const (
	// OneCancelsAll restarts the one that failed. A failure that no restart answers
	// cancels all.
	OneCancelsAll Strategy = "one_cancels_all"
	// OneForOne restarts the one that failed; the others live on in any case.
	OneForOne Strategy = "one_for_one"
	// OneForAll ends all, waits until all are reaped, and starts them again.
	OneForAll Strategy = "one_for_all"
	// RestForOne does so with the one that failed and those started after it.
	RestForOne Strategy = "rest_for_one"
)

// Supervision says how a supervisor deals with the failures of its actors. More
// than MaxRestarts restarts within Window are a failure of the supervisor itself.
type Supervision struct {
	Strategy    Strategy `yaml:"strategy" json:"strategy,omitempty" default:"one_cancels_all" oneof:"one_cancels_all one_for_one one_for_all rest_for_one"`
	MaxRestarts int      `yaml:"max_restarts" json:"max_restarts,omitempty" default:"3" zero:"to never restart an actor, give it restart: temporary"`
	Window      Duration `yaml:"window" json:"window,omitempty" default:"5s"`
}

// Backoff is the pause before a restart: it doubles from Initial to Max, with some
// jitter, and starts anew once the actor has been up for Reset. Up to a quarter is taken off by
// chance, so that actors which failed together do not all come back in the same instant.
//
// Reset also bounds restarts that are too slow for Window: more than MaxRestarts of one actor
// without a run of Reset in between are a failure of its supervisor, however long they took.
type Backoff struct {
	Initial Duration `yaml:"initial" json:"initial,omitempty" default:"100ms"`
	Max     Duration `yaml:"max" json:"max,omitempty" default:"10s"`
	Reset   Duration `yaml:"reset" json:"reset,omitempty" default:"30s"`
}

// Health says how an actor is checked. After Failures failed checks in a row it
// counts as failed, and is ended: asked to if it still answers, else with SIGTERM and SIGKILL.
type Health struct {
	Interval Duration `yaml:"interval" json:"interval,omitempty" default:"2s"`
	Timeout  Duration `yaml:"timeout" json:"timeout,omitempty" default:"1s"`
	Failures int      `yaml:"failures" json:"failures,omitempty" default:"3" zero:"to switch the checks off, write off: true"`
	// Endpoint is a func of the plugin's own, without arguments, that is called as
	// part of every check; its error fails the check.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	Off      bool   `yaml:"off" json:"off,omitempty" default:"false"` // no checks, as under a debugger
}

// WhileDown says what calls do while an actor is being restarted.
type WhileDown string

// What calls do.
const (
	WaitWhileDown WhileDown = "wait" // until it is up again, or their ctx ends
	FailWhileDown WhileDown = "fail" // at once
)

// WhenStuck says what becomes of an actor with a stuck task: one that was told to end
// and has not within CancelTimeout.
type WhenStuck string

// What becomes of it.
const (
	WarnWhenStuck    WhenStuck = "warn"    // an event reports the task, and that is all
	RestartWhenStuck WhenStuck = "restart" // it is ended, as failed, once a task has been stuck for Grace
)

// maxProcesses bounds a tree, replicas and children included, so that a slip of the finger
// does not start a million processes.
const maxProcesses = 10_000

// Duration is a time.Duration that is written as in "1.5s".
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as [Duration.String] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [time.ParseDuration] does. Package read, which also asks that it
// be above zero, does not go through it; JSON and the default tags do.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
