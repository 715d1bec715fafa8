//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Report is what a process tells the driver, over a connection of its own that
// has nothing to do with the links under test. Its end is that of the process.
type Report struct {
	Hello  *Hello   `json:",omitempty"`
	Step   *Step    `json:",omitempty"`
	Open   *Task    `json:",omitempty"` // a task works, with this peer
	Failed *Failure `json:",omitempty"`
	Answer *Answer  `json:",omitempty"`
}

// Hello comes first. Short is the identity that the process has in the tree.
type Hello struct {
	Name, Short string
	PID         int
}

// Step is one event of a supervisor.
type Step struct {
	Time         time.Time
	Name, Short  string // of the actor that it is about
	PID          int
	From, To     string
	Cause, Step  string
	Reason       string
	Err          *Verdict
	OutOfHandles bool // Err is EMFILE
}

// Task is one endless piece of load: what it does, with whom, and who answers now.
type Task struct {
	Time   time.Time
	Kind   string // see load.go
	Target string
	Peer   string // Short of the process that answers
}

// Failure is what a task has got.
type Failure struct {
	Task
	Verdict
}

// Verdict is an error, sorted.
type Verdict struct {
	Class string // see classify
	Who   string // Short of the actor that the error names
	Text  string
	Story string // with every hop
}

// Command is what the driver tells a process.
type Command struct {
	ID   int
	Do   string // see command.go
	Peer int    // pid
	Main bool   // go-plugin's connection, not the link
	How  string
	Wait time.Duration
	Size int
}

// Answer is what came of a command.
type Answer struct {
	ID         int
	Err        string
	N          int // of what the command counts
	Goroutines int
	Text       string
	Verdict    *Verdict
}

// uplink is a process's connection to the driver.
type uplink struct {
	conn *net.UnixConn
	in   *bufio.Scanner

	mu sync.Mutex
}

const largestReport = 8 << 20

// dialDriver connects this process to its driver and says who it is.
func dialDriver(name, short string) (*uplink, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: os.Getenv(socketVar), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the driver cannot be reached; is %s=%q its socket? %w", socketVar, os.Getenv(socketVar), err)
	}
	u := &uplink{conn: conn, in: bufio.NewScanner(conn)}
	u.tell(Report{Hello: &Hello{Name: name, Short: short, PID: os.Getpid()}})
	return u, nil
}

// tell sends a report. A driver that is gone ends the process: nothing is to
// outlive a run.
func (u *uplink) tell(r Report) {
	line, err := json.Marshal(r)
	if err == nil {
		err = u.write(append(line, '\n'))
	}
	if err != nil {
		os.Exit(exitNoDriver)
	}
}

func (u *uplink) write(line []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, err := u.conn.Write(line)
	return err
}

// commands runs f for each command until the driver is gone.
func (u *uplink) commands(f func(Command)) {
	for u.in.Scan() {
		var c Command
		if err := json.Unmarshal(u.in.Bytes(), &c); err != nil {
			break
		}
		f(c)
	}
	os.Exit(exitNoDriver)
}
