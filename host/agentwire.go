package host

import (
	"fmt"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// What a host and the agents that have joined it say to each other. A host asks whoever serves these
// endpoints to run actors for it; nobody but the host of an agent may call them.
var (
	// agentState is who the agent is and what it takes, and again whenever that changes.
	agentState = contract.Source[struct{}, agentInfo]("agent.state")
	// agentLaunch runs a process: its life is that of the context. It ends when the process has, and all that
	// it had started, and the process ends when the context does.
	agentLaunch = contract.Context[launchOrder, struct{}, struct{}, launchNews, struct{}]("agent.launch")
	// agentDo does something with a process that was launched.
	agentDo = contract.Func[processOrder, processAnswer]("agent.do")
	// agentShip gives the agent a program, in pieces, unless it has it, and gives its path there.
	agentShip = contract.Context[shipment, bool, []byte, struct{}, string]("agent.ship").With(contract.ContextOptions{
		StreamOptions: contract.StreamOptions{Window: contract.Window{Bytes: windowOfProgram}},
	})
)

// agentInfo is an agent as its hosts know it.
type agentInfo struct {
	Host     string            `json:"host"`
	Epoch    uint64            `json:"epoch,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Capacity int               `json:"capacity"`          // actors at once
	Running  int               `json:"running,omitempty"` // actors, of all of its hosts
	Draining bool              `json:"draining,omitempty"`
	Accepts  bool              `json:"accepts,omitempty"` // programs that are shipped
}

// What an agent may say of itself.
const (
	mostLabels   = 64
	longestLabel = 256 // bytes, with its value
)

// check says what is wrong with what an agent has said.
func (a *agentInfo) check() error {
	if err := fleet.CheckName(a.Host); err != nil {
		return err
	}
	if len(a.Labels) > mostLabels {
		return fmt.Errorf("%d labels; the limit is %d", len(a.Labels), mostLabels)
	}
	for key, value := range a.Labels {
		if len(key)+len(value) > longestLabel {
			return fmt.Errorf("the label %.40q has %d bytes with its value; the limit is %d", key, len(key)+len(value), longestLabel)
		}
	}
	return nil
}

// launchOrder is a process to be run.
type launchOrder struct {
	ID   actor.ID `json:"id"`
	Spec []byte   `json:"spec"` // a config.Actor, JSON
}

// launchNews is what an agent tells of a process: one field of it. They come in the order of what has happened, but that
// lines may come behind the exit: what was printed last is read when the process is dead. Whoever has heard Reaped
// knows that nothing of the process is left on that machine, and may start another one at once.
type launchNews struct {
	Started *launchResult `json:"started,omitempty"` // the first news that are no lines
	Line    *process.Line `json:"line,omitempty"`    // that it has printed
	Exit    *process.Exit `json:"exit,omitempty"`    // it is dead
	Reaped  bool          `json:"reaped,omitempty"`  // and so is all that it had started; the last news
}

// launchResult is what has become of a start.
type launchResult struct {
	PID     int    `json:"pid,omitempty"` // 0: there was no process
	Failure string `json:"failure,omitempty"`
	Lasting bool   `json:"lasting,omitempty"` // another start would fail in the same way
	NoFile  bool   `json:"no_file,omitempty"` // the program cannot be executed
}

// What is to be done with a process. Each is a call of its own, so that one that takes long, as a boot does, holds up
// no other one; what they give is that of the methods of [launch.Program] and [launch.Process] with these names.
const (
	doListen    = "listen" // make the way of its link, which Token leads to the host
	doBoot      = "boot"
	doStop      = "stop"
	doCheck     = "check"
	doCurrent   = "current"
	doTerminate = "terminate"
	doKill      = "kill"
	doLook      = "look"  // at what it uses
	doPing      = "ping"  // nothing, and with no process
	doLeave     = "leave" // the tree, and not join it again; with no process
)

// processOrder is one of these.
type processOrder struct {
	UUID  string `json:"uuid"`
	Do    string `json:"do"`
	Token []byte `json:"token,omitempty"`
	Boot  []byte `json:"boot,omitempty"` // a BootRequest
}

// processAnswer is what has come of it.
type processAnswer struct {
	Boot    []byte         `json:"boot,omitempty"` // a BootRequest with where the link leads to, or a BootResponse
	Status  int32          `json:"status,omitempty"`
	Code    uint32         `json:"code,omitempty"` // of gRPC
	Failure string         `json:"failure,omitempty"`
	Vitals  process.Vitals `json:"vitals,omitzero"`
}

// shipment is a program that is offered.
type shipment struct {
	SHA256 string `json:"sha256"`
	Name   string `json:"name"` // of the file, for people
	Size   int64  `json:"size"`
}
