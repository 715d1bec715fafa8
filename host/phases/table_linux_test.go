package phases_test

import "slices"

// A table says what each public function that waits gives in each phase of what it waits
// for. Its cells are played with real code, and the page of the docs is made of them.
type table struct {
	title   string
	columns []string
	rows    []row
}

// row is one function: its name as in `go doc`, and a cell for each column.
//
//	"X"         it returns X at once
//	"waits, X"  it waits until the phase is over. The end of its ctx gives ctx's cause;
//	            if the actor (nursery, context) ends, it gives X
//	"holds, X"  the same, but it is the callee's end that it waits for: the end of its ctx
//	            only asks for that
//	"-"         there is no such thing in this phase
type row struct {
	name  string
	cells []string
}

const impossible = "-"

// cell is what a function gives in a phase.
func (tab table) cell(name, phase string) string {
	i := slices.IndexFunc(tab.rows, func(r row) bool { return r.name == name })
	return tab.rows[i].cells[slices.Index(tab.columns, phase)]
}

// The phases of an actor, in the columns' order. Where there is no process, it is between
// two processes.
const (
	waitingForNeed = "waiting for an actor that it needs"
	pausing        = "in its pause before a restart"
	failingFast    = "the same, with while_down: fail"
	starting       = "starting"
	ready          = "ready"
	unhealthy      = "unhealthy"
	frozen         = "frozen (SIGSTOP)"
	stopping       = "stopping"
	gone           = "gone"
)

var actorTable = table{
	"An actor",
	[]string{waitingForNeed, pausing, failingFast, starting, ready, unhealthy, frozen, stopping, gone},
	[]row{
		{"FuncEndpoint.Call", []string{
			"waits, ErrActorLost", "waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "holds, ErrActorLost", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Conn", []string{
			"waits, ErrActorLost", "waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Broker", []string{
			"waits, ErrActorLost", "waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Dispense", []string{
			"waits, ErrActorLost", "waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Services", []string{
			"waits, ErrActorLost", "waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "waits, ErrActorClosing or ErrActorLost", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.ID", []string{
			"a value", "a value", "a value", "a value", "a value", "a value", "a value", "a value", "a value",
		}},
		{"Portal.State", []string{
			"waiting", "waiting", "waiting", "starting", "ready", "unhealthy", "ready", "stopping", "gone",
		}},
		{"Portal.Endpoints", []string{
			"a value", "a value", "a value", "a value", "a value", "a value", "a value", "a value", "a value",
		}},
		{"Portal.Done", []string{
			"waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "closed",
		}},
		{"Portal.Cancel", []string{
			"nil", "nil", "nil", "nil", "nil", "nil", "ErrActorTooSlow", "ErrActorTooSlow", "nil",
		}},
	},
}

var foreignTable = table{
	"A foreign program",
	[]string{pausing, failingFast, starting, ready, frozen, stopping, gone},
	[]row{
		{"Portal.Services", []string{
			"waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "waits, ErrActorClosing or ErrActorLost", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Services, a stream", []string{
			"waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Conn", []string{
			"waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Broker", []string{
			"waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Dispense", []string{
			"waits, ErrActorLost", "ErrActorDown", "waits, ErrActorLost", "a value", "a value", "ErrActorClosing", "ErrActorClosing",
		}},
		{"Portal.Version", []string{
			"waits, a value", "ErrActorDown", "waits, a value", "a value", "a value", "a value", "a value",
		}},
		{"Portal.ID", []string{"a value", "a value", "a value", "a value", "a value", "a value", "a value"}},
		{"Portal.State", []string{"waiting", "waiting", "starting", "ready", "ready", "stopping", "gone"}},
		{"Portal.Done", []string{
			"waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "waits, closed", "closed",
		}},
		{"Portal.Cancel", []string{"nil", "nil", "nil", "nil", "ErrActorTooSlow", "holds, nil", "nil"}},
	},
}
