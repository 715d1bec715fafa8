package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Net is a few machines, and a switch between them in a namespace of its own. The test has it: its
// end removes all of it. A method fails the test if it cannot do what it says.
type Net struct {
	t        testing.TB
	hub      string
	machines map[string]*machine
}

type machine struct {
	space   string // the name of its namespace
	cable   string // the end of its link at the switch
	address string
	folder  string // for temporary files
}

// names are those of the namespaces of a test process.
var names = regexp.MustCompile(`^trellis-(\d+)-\w+$`)

// nets counts those of this process: two tests may have some at once.
var nets int

// New makes machines with these names, at most 250, and removes what tests have left that were killed.
func New(t testing.TB, machines ...string) *Net {
	t.Helper()
	n := &Net{t: t, machines: map[string]*machine{}}
	n.sweep()
	nets++
	prefix := fmt.Sprintf("trellis-%d-%d", os.Getpid(), nets)
	n.hub = prefix + "hub"
	n.add(n.hub)
	n.ip("-n", n.hub, "link", "add", "switch", "type", "bridge")
	n.ip("-n", n.hub, "link", "set", "switch", "up")
	for i, name := range machines {
		m := &machine{space: prefix + "m" + strconv.Itoa(i), cable: "cable" + strconv.Itoa(i), address: "10.77.0." + strconv.Itoa(i+1), folder: n.makeFolder()}
		n.machines[name] = m
		n.add(m.space)
		n.ip("-n", n.hub, "link", "add", m.cable, "type", "veth", "peer", "name", "eth0", "netns", m.space)
		n.ip("-n", n.hub, "link", "set", m.cable, "master", "switch", "up")
		n.ip("-n", m.space, "address", "add", m.address+"/16", "dev", "eth0")
		n.ip("-n", m.space, "link", "set", "lo", "up")
		n.ip("-n", m.space, "link", "set", "eth0", "up")
	}
	return n
}

// makeFolder makes one whose path is short, since the names of sockets are in it.
func (n *Net) makeFolder() string {
	dir, err := os.MkdirTemp("/tmp", "m")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			n.t.Error(err)
		}
	})
	return dir
}

func (n *Net) add(space string) {
	n.ip("netns", "add", space)
	n.t.Cleanup(func() { n.ip("netns", "delete", space) }) // with its ends of links
}

// sweep removes the namespaces of processes that are gone.
func (n *Net) sweep() {
	for line := range strings.Lines(n.ip("netns", "list")) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		match := names.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		if pid, err := strconv.Atoi(match[1]); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			n.ip("netns", "delete", name)
		}
	}
}

func (n *Net) ip(args ...string) string {
	n.t.Helper()
	out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// at is a machine.
func (n *Net) at(name string) *machine {
	m := n.machines[name]
	if m == nil {
		n.t.Helper()
		n.t.Fatalf("there is no machine %q", name)
	}
	return m
}

// Address is the one at which the others reach a machine.
func (n *Net) Address(name string) string { return n.at(name).address }

// Folder is that for the temporary files of a machine: its TMPDIR.
func (n *Net) Folder(name string) string { return n.at(name).folder }

// Command is one that runs on a machine: its process is the program itself. It has the environment of
// the test, but for TMPDIR.
func (n *Net) Command(name, program string, args ...string) *exec.Cmd {
	m := n.at(name)
	path, err := filepath.Abs(program)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), "ip", append([]string{"netns", "exec", m.space, path}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+m.folder)
	return cmd
}

// Cut takes the machine off the switch, and Mend puts it back. Neither end of a connection is told.
func (n *Net) Cut(name string) { n.ip("-n", n.hub, "link", "set", n.at(name).cable, "down") }

// Mend undoes Cut.
func (n *Net) Mend(name string) { n.ip("-n", n.hub, "link", "set", n.at(name).cable, "up") }

// Block loses what one machine sends to another one; what that one sends still comes. Unblock ends that.
func (n *Net) Block(from, to string) {
	n.ip("-n", n.at(from).space, "route", "add", "blackhole", n.at(to).address+"/32")
}

// Unblock undoes Block.
func (n *Net) Unblock(from, to string) {
	n.ip("-n", n.at(from).space, "route", "delete", "blackhole", n.at(to).address+"/32")
}

// Processes are those that run on a machine.
func (n *Net) Processes(name string) (pids []int) {
	for field := range strings.FieldsSeq(n.ip("netns", "pids", n.at(name).space)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			n.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
