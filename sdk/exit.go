package sdk

import (
	"errors"
	"log/slog"
	"os"

	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Exit codes of a plugin program.
const (
	exitWell   = 0
	exitFailed = 1
)

// OnExit registers a hook that runs when the plugin ends, whatever ended it:
// its host's wish, SIGTERM, SIGINT or SIGHUP, a failure, the loss of its link. Only
// SIGKILL (which is also what the death of its host means), a crash of the Go
// runtime and an os.Exit of the plugin's own leave no time for it.
//
// Hooks run one after another, the one that was registered last first, when all tasks of
// the actor and all plugins that it hosts have ended; one that is registered by a hook runs
// next. A hook that panics is logged and makes the exit code 1; the others still run. A
// hook may take as long as the host lets it: the host waits for its grace (5 s by default),
// sends SIGTERM, and after its term_timeout (1.6 s) kills it. Nothing can be called any
// more through the link to the host.
func OnExit(hook func()) { life.OnExit(hook) }

// exit runs the hooks and ends the process; it does not return. If it is called from two
// goroutines, the second one waits for the end inside sync.Once, and its code does not
// count.
//
// The rehearsal is waited for as it may be inside a codec or a check of package crypto,
// and every goroutine of the runtime's ends before the process does. It is long over by
// now.
func (p *program) exit(code int) {
	p.exiting.Do(func() {
		life.ProgramHooks().Run(func(err error) {
			_ = life.RunHook(func() { p.logHook(err) }) // the log handler is the author's, too
			code = exitFailed
		})
		if p.rehearsal != nil {
			p.rehearsal.Wait()
		}
		os.Exit(code)
	})
}

// logHook logs that a hook has failed: it is too late to report it through the link. The
// record goes to standard error, which the host reads until the process is dead.
func (p *program) logHook(err error) {
	attrs := []any{"actor", p.life.Self().String(), "error", err}
	if p, ok := errors.AsType[*fault.PanicError](err); ok {
		attrs = append(attrs, "stack", p.Stack)
	}
	slog.Error("an exit hook has failed", attrs...)
}
