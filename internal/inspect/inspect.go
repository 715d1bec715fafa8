package inspect

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of what is told of one actor, and of what is taken as such from another process (docs/bounds.md).
const (
	// mostAnswer is in bytes, encoded: the stacks, the contexts of both ends, and the shapes of endpoints, of which a
	// boot answer may have 4 MiB.
	mostAnswer = 8 << 20
	// mostStacks is in bytes. A goroutine takes about one KiB.
	mostStacks = 1 << 20
	// mostWhole is of how many goroutines each is told. Of more, equal ones are counted, which takes as long, but lets
	// the program run meanwhile.
	mostWhole = 10_000
	// mostText and mostStory are bytes of a text, and of a failure.
	mostText  = 4 << 10
	mostStory = 16 << 10
	// mostItems is for endpoints, limits and lines.
	mostItems = 4096
)

// MostContexts is how many contexts are told of each end of a link.
const MostContexts = 256

// Actor is what is known of an actor. It is a copy that nobody changes once it was encoded or given away. Its fields are
// those of the document of host describe, and so are their names.
type Actor struct {
	// Path, Name, UUID and PID say who it is: the present process, or the last one.
	Path string `json:"path"`
	Name string `json:"name"`
	UUID string `json:"uuid"`
	PID  int    `json:"pid,omitempty"`
	// State is what it is doing, since when, and why, as its last event has told it.
	State  directory.State `json:"state,omitempty"`
	Since  time.Time       `json:"since,omitzero"`
	Reason string          `json:"reason,omitempty"`
	// Epoch counts its processes so far.
	Epoch int `json:"epoch,omitempty"`
	// Up is since when its process can be called; zero if it cannot.
	Up time.Time `json:"up,omitzero"`
	// Joined and Foreign say that its host has not started it, or that it knows nothing of Trellis.
	Joined  bool `json:"joined,omitempty"`
	Foreign bool `json:"foreign,omitempty"`
	// Host is on whose machine it runs, empty for that of its own host.
	Host string `json:"host,omitempty"`
	// Program is nil for one that has joined.
	Program *Program `json:"program,omitempty"`
	// Failure is the last one, of whichever of its processes; nil if none has failed.
	Failure *Failure `json:"failure,omitempty"`
	// Restarts is nil if it does not come back.
	Restarts *Restarts `json:"restarts,omitempty"`
	// Health is nil if it has no checks.
	Health *Health `json:"health,omitempty"`
	// System is the state of its process, as the system tells it: "T (stopped)" is one that cannot answer.
	System string  `json:"system,omitempty"`
	Limits []Limit `json:"limits,omitempty"`
	// Contexts are those of its link with its host, at the host's end; Process has the other end. More is how many
	// are left out.
	Contexts []dialog.Info `json:"contexts"`
	More     int           `json:"more_contexts,omitempty"`
	// Endpoints are what it serves, or has served when it was up last.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// Process is what it says itself; if it says nothing, Silent is why, and Hangs that it has not answered in time.
	Process *Process `json:"process,omitempty"`
	Silent  string   `json:"silent,omitempty"`
	Hangs   bool     `json:"hangs,omitempty"`
	// Log has the last records of it. Whoever asks for an actor reads them at the root of the tree.
	Log []telemetry.Record `json:"log,omitempty"`
}

// Program is what an actor's process executes. Values of its environment are not told, nor its arguments: either may be
// secret.
type Program struct {
	// Path is the file, as it is found now.
	Path string `json:"path"`
	// SHA256 is that of the file, in a description. Note is why there is none, such as that the file is
	// another one than was started.
	SHA256 string `json:"sha256,omitempty"`
	Note   string `json:"note,omitempty"`
	// Arguments is how many there are.
	Arguments int    `json:"arguments,omitempty"`
	Dir       string `json:"dir,omitempty"`
	// Env has the names of what its spec adds.
	Env []string `json:"env,omitempty"`
}

// Failure is what an actor's process has last ended with.
type Failure struct {
	Time time.Time `json:"time"`
	// Story has the lines of the error, with where it arose, its causes and its stack.
	Story []string `json:"story"`
}

// Restarts are how an actor comes back.
type Restarts struct {
	Kind string `json:"kind"`
	// Max is how many restarts there may be within the window, of all actors beside it; Left is how many there
	// may be now before the supervisor gives up.
	Max    int           `json:"max"`
	Left   int           `json:"left"`
	Window time.Duration `json:"window_ns"`
	// Next is when its next process is started; zero if it does not wait for that.
	Next time.Time `json:"next,omitzero"`
}

// Health is what the last health check of the present process has found.
type Health struct {
	// Time is zero as long as there was none.
	Time time.Time `json:"time,omitzero"`
	// Failed is why it has failed; "" if it has not.
	Failed string `json:"failed,omitempty"`
}

// Limit is what of something an actor uses, and may use: bytes, nanoseconds of cpu, or a number.
type Limit struct {
	// Name is that in a config.
	Name string `json:"name"`
	// Used is 0 if it is not known, and Max if there is no limit.
	Used int64 `json:"used,omitempty"`
	Max  int64 `json:"max,omitempty"`
}

// Endpoint is something that an actor serves.
type Endpoint struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Callers are who may call it, if its author has said so.
	Callers []string `json:"callers,omitempty"`
	// Shape is that of its types, as the protocol has it. It is left out of a dump.
	Shape string `json:"shape,omitempty"`
}

// Process is what a process says of itself.
type Process struct {
	// PID is its own, which is another one than its host knows if a wrapper has started it.
	PID int `json:"pid"`
	// Go is the version of that, and Module the program with its version.
	Go     string `json:"go"`
	Module string `json:"module,omitempty"`
	// Stacks are those of its goroutines, in a dump; Cut is that they are not all there.
	Goroutines int    `json:"goroutines"`
	Stacks     string `json:"stacks,omitempty"`
	Cut        bool   `json:"cut,omitempty"`
	// Contexts are those of its link with its host, at its own end; More is how many are left out.
	Contexts []dialog.Info `json:"contexts"`
	More     int           `json:"more_contexts,omitempty"`
}

// Self is what this process says, to an order; t is its link with its host, nil if it has none. It calls no code of an
// author's, and waits for nothing but locks of the runtime's own, so that it can be asked at any time.
func Self(do string, t *dialog.Table) *Process {
	p := &Process{PID: os.Getpid(), Go: runtime.Version(), Goroutines: runtime.NumGoroutine(), Contexts: []dialog.Info{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		p.Module = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
	}
	if t != nil {
		p.Contexts, p.More = t.List(MostContexts)
	}
	if do == wire.OrderDump {
		p.Stacks, p.Cut = stacks(p.Goroutines)
	}
	return p
}

// stacks are those of all goroutines. The world stands still while they are written one by one; of many, only
// as long as they are counted.
func stacks(goroutines int) (text string, cut bool) {
	if goroutines <= mostWhole {
		b := make([]byte, mostStacks)
		n := runtime.Stack(b, true)
		return string(b[:n]), n == len(b)
	}
	var b head
	err := pprof.Lookup("goroutine").WriteTo(&b, 1)
	return string(b), err != nil // it is full
}

// head keeps the beginning of what is written.
type head []byte

var errFull = errors.New("all that may be kept was written")

// Write fails when not all of b has room.
func (h *head) Write(b []byte) (int, error) {
	n := min(len(b), mostStacks-len(*h))
	if *h = append(*h, b[:n]...); n < len(b) {
		return n, errFull
	}
	return n, nil
}

// Encode is a value as others are told it.
func Encode(v any) ([]byte, error) {
	b := wire.NewBuffer(0)
	defer b.Free()
	if err := codecs.CBOR.Marshal(b, v, nil); err != nil {
		return nil, err
	}
	return slices.Clone(b.Bytes()), nil
}

// DecodeProcess reads what a process says.
func DecodeProcess(answer []byte) (*Process, error) {
	var p Process
	err := decode(answer, &p)
	p.bound()
	return &p, err
}

// DecodeActor reads what a host says of an actor.
func DecodeActor(answer []byte) (*Actor, error) {
	var a Actor
	err := decode(answer, &a)
	a.bound()
	return &a, err
}

// decode reads an answer that is not too large. What an SDK of another version has added is passed over.
func decode(answer []byte, v any) error {
	if len(answer) > mostAnswer {
		return fmt.Errorf("its answer has %d bytes; the limit is %d", len(answer), mostAnswer)
	}
	return codecs.CBOR.Unmarshal(answer, v)
}

// bound cuts what is too large, whoever has said it.
func (a *Actor) bound() {
	clip(&a.Name, &a.UUID, &a.Reason, &a.System, &a.Silent, (*string)(&a.State))
	a.Contexts, a.More = contexts(a.Contexts, a.More)
	a.Limits, a.Endpoints = a.Limits[:min(len(a.Limits), mostItems)], a.Endpoints[:min(len(a.Endpoints), mostItems)]
	if a.Failure != nil {
		a.Failure.Story = Lines(strings.Join(a.Failure.Story, "\n"))
	}
	if a.Process != nil {
		a.Process.bound()
	}
}

// bound is that of an [Actor]. The stacks are the largest part of a dump: of what is cut off nobody says how much it was.
func (p *Process) bound() {
	clip(&p.Go, &p.Module)
	p.Contexts, p.More = contexts(p.Contexts, p.More)
	if len(p.Stacks) > mostStacks {
		p.Stacks, p.Cut = p.Stacks[:mostStacks], true
	}
}

// clip cuts texts, each with a note of how much is missing.
func clip(texts ...*string) {
	for _, text := range texts {
		*text = words.Clip(*text, mostText)
	}
}

// contexts cuts a list, and the texts in it. It is never nil, since it is a list in the document.
func contexts(all []dialog.Info, more int) (_ []dialog.Info, left int) {
	if all == nil {
		all = []dialog.Info{}
	}
	kept := all[:min(len(all), MostContexts)]
	for i := range kept {
		c := &kept[i]
		clip(&c.Endpoint, &c.Kind, &c.Role, &c.Peer, &c.Phase, &c.Waits)
	}
	return kept, more + len(all) - len(kept)
}

// Lines are those of a text, of which what is too long is cut.
func Lines(text string) []string {
	lines := strings.Split(words.Clip(strings.TrimRight(text, "\n"), mostStory), "\n")
	return lines[:min(len(lines), mostItems)]
}
