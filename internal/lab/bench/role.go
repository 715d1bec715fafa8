package bench

import (
	"fmt"
	"os"
	"os/exec"
)

// roleVar makes the program a plugin that is measured. It is for this package's eyes
// only.
const roleVar = "TRELLIS_BENCH_ROLE"

// Serve makes the program the plugin that the measuring host has started it to be, and
// does not return then. In any other program it does nothing. It must be called first
// thing in main.
func Serve() {
	switch role := os.Getenv(roleVar); role {
	case "":
		return
	case Trellis:
		serveTrellis()
	case Plain, NetRPC:
		serveGoPlugin(role)
	case Socket:
		if err := serveSocket(); err != nil {
			fmt.Fprintln(os.Stderr, "the socket of the benchmark:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "%s is %q, which is not a plugin to measure; it is meant for the program itself\n", roleVar, role)
		os.Exit(2)
	}
	os.Exit(0)
}

// again is this program, as a plugin of a role.
func (l *lab) again(role string) *exec.Cmd {
	cmd := exec.Command(l.self) //nolint:noctx // whoever starts it ends it in order
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	return cmd
}
