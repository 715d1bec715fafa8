package bench

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/baregrpc"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/goplugin"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/ours"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
)

// roleVar makes the program one that is measured. It is for this package's eyes only.
const roleVar = "TRELLIS_BENCH_ROLE"

// roles are the programs that the measuring one carries with it.
var roles = map[string]func() error{
	Trellis: func() error { ours.Serve(); return nil },
	Plain:   func() error { goplugin.ServeGRPC(); return nil },
	NetRPC:  func() error { goplugin.ServeNetRPC(); return nil },
	Bare:    baregrpc.Serve,
	Socket:  socket.ServeFrames,
	busy:    func() error { return socket.Serve(spin) },
	relay:   serveRelay,
	agent:   serveAgent,
	TLS:     serveTLS,
}

// Serve makes the program what the measuring one has started it to be, and does not
// return then. In any other program it does nothing. It must be called first thing in
// main.
func Serve() {
	role := os.Getenv(roleVar)
	if role == "" {
		return
	}
	serve, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s is %q, which is not a program to measure; it is meant for the program itself\n", roleVar, role)
		os.Exit(2)
	}
	if err := serve(); err != nil {
		fmt.Fprintf(os.Stderr, "the benchmark's program %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command is the program of a subject, or what plays it.
func (l *lab) command(subject string) *exec.Cmd {
	cmd := exec.Command(l.programs[subject]) //nolint:noctx // whoever starts it ends it in order
	cmd.Env = os.Environ()
	for name, value := range l.role(subject) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// role is what a program needs to know that can play several. Others do not look at it.
func (*lab) role(subject string) map[string]string { return map[string]string{roleVar: subject} }
