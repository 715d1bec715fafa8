package life

import (
	"sync"
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/panics"
)

// Hooks are what an actor's program has registered to run at its end. The zero value is ready.
// Hooks may be added at any time from anywhere, a hook included; so the mutex is never held
// while one runs.
type Hooks struct {
	mu    sync.Mutex
	hooks []func()
}

// program are the hooks of this process's actor, and owners finds those of an actor that
// shares its process with others. Most processes are one actor, and have no owners.
var (
	program Hooks
	owners  atomic.Pointer[func() *Hooks]
)

// Own makes find say whose hooks those are that the calling goroutine registers; nil means
// the process's.
func Own(find func() *Hooks) { owners.Store(&find) }

// ProgramHooks are those of the process.
func ProgramHooks() *Hooks { return &program }

// OnExit registers a hook of the actor that the caller belongs to.
func OnExit(hook func()) {
	h := &program
	if find := owners.Load(); find != nil {
		if own := (*find)(); own != nil {
			h = own
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks = append(h.hooks, hook)
}

// Run runs the hooks, the one that was registered last first, until none is left. It gives
// failed what those failed with that panicked; the others still run.
func (h *Hooks) Run(failed func(err error)) {
	for hook := h.next(); hook != nil; hook = h.next() {
		if err := RunHook(hook); err != nil {
			failed(err)
		}
	}
}

// next takes the hook that was registered last; nil if none is left.
func (h *Hooks) next() func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.hooks)
	if n == 0 {
		return nil
	}
	hook := h.hooks[n-1]
	h.hooks = h.hooks[:n-1]
	return hook
}

// RunHook runs one hook, which may panic or call runtime.Goexit.
func RunHook(hook func()) error {
	return panics.Isolate(func() error {
		return panics.Catch(func() error {
			hook()
			return nil
		})
	})
}
