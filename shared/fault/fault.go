package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// The runtime's sentinels, for errors.Is. The errors that carry them say more in their text:
// which actor, which endpoint, which bound. All of them are found at the far side of a link, too,
// by the names that init in registry.go gives them. These names are a part of the wire protocol:
// programs that were built at different times must agree about them.
var (
	// ErrNotExposed: the actor serves no endpoint of that name and kind. A [*NotExposed]
	// says which there are.
	ErrNotExposed = errors.New("endpoint not exposed")
	// ErrNotStarted: the callee used its stream before it called Started.
	ErrNotStarted = errors.New("context not started")
	// ErrNeverStarted: the callee returned without an error, and without having called Started.
	ErrNeverStarted = errors.New("context never started")
	// ErrStartedTwice: the callee called Started a second time.
	ErrStartedTwice = errors.New("context started twice")
	// ErrStreamClosed: this end of the stream is closed, or was opened before.
	ErrStreamClosed = errors.New("stream closed")
	// ErrMessageTooLarge: a payload is over the receiver's limit, 64 MiB. Only that call or
	// Send failed.
	ErrMessageTooLarge = errors.New("message too large")
	// ErrNurseryClosed: the nursery takes no more children. A [*NurseryClosed] says why.
	ErrNurseryClosed = errors.New("nursery closed")
	// ErrCancelUnacked: the remote task did not end within the cancel bound, 500 ms by default.
	// It may still run; its context is cut off from it.
	ErrCancelUnacked = errors.New("cancel not acknowledged")
	// ErrActorTooSlow: the actor did not end its tasks within the cancel bound, 500 ms by
	// default, so its host goes on with the teardown, which ends in SIGKILL. It
	// is not a DeadlineExceeded, so that nobody's timeout handling hides it.
	ErrActorTooSlow = errors.New("actor too slow to cancel")
	// ErrActorClosing: the actor is ending and takes no new work.
	ErrActorClosing = errors.New("actor closing")
	// ErrOverloaded: the actor runs as much for its caller as it does at once, or the
	// caller does not read the answers that it has, or more large messages wait in
	// streams than an actor keeps for another. Only that dialog failed.
	ErrOverloaded = errors.New("actor overloaded")
	// ErrNotAllowed: the rules of the tree, or of the endpoint, do not admit the caller.
	ErrNotAllowed = errors.New("call not allowed")
	// ErrProtocol: the peer broke the wire protocol.
	ErrProtocol = errors.New("protocol violation")
)

// ContextCancelled says that a task ended because somebody asked it to: by Cancel on its
// context, or by ending the actor that it ran in. It is the cause of the task's ctx, and what the
// other side sees of it. It matches context.Canceled.
//
// A cancel that travels down a tree keeps its Canceller: an actor that ends its own children
// because it is being ended names whoever asked first, and not itself.
type ContextCancelled struct {
	Canceller actor.ID `json:"canceller"`        // who asked, however many hops away
	Reason    string   `json:"reason,omitempty"` // in the canceller's words, at most 32 KiB
}

func (e *ContextCancelled) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("cancelled by %s", e.Canceller)
	}
	return fmt.Sprintf("cancelled by %s: %s", e.Canceller, e.Reason)
}

// Unwrap makes errors.Is(err, context.Canceled) true.
func (e *ContextCancelled) Unwrap() error { return context.Canceled }

// StreamOverrun says that messages were sent which their receiver had no room for: it had not
// opened its end of the stream for 500 ms (ready_timeout) after its buffer was full, or
// receives without backpressure. Both ends of the context fail with it.
type StreamOverrun struct {
	Sender   actor.ID `json:"sender"`
	Receiver actor.ID `json:"receiver"`
	Window   int      `json:"window"` // messages that the receiver had room for
	// Opened is false if the receiver had not opened its end of the stream. A receiver that
	// has opened it holds the sender back instead, unless it has said that it will not.
	Opened bool `json:"opened"`
}

func (e *StreamOverrun) Error() string {
	if !e.Opened {
		return fmt.Sprintf("stream overrun: %s has not opened a stream on this context and may not be ready to receive; its buffer of %d messages from %s is full",
			e.Receiver, e.Window, e.Sender)
	}
	return fmt.Sprintf("stream overrun: %s receives without backpressure and fell behind %s; its buffer of %d messages is full",
		e.Receiver, e.Sender, e.Window)
}

// Lagged says that a subscriber of a broadcast or of events was behind by more than its
// window, and that messages are gone for it. It goes on with the oldest that is kept. It is
// not the end of anything: the subscriber may receive again, and others have lost nothing.
type Lagged struct {
	Missed int `json:"missed"` // messages that are gone
}

func (e *Lagged) Error() string {
	return fmt.Sprintf("lagged: %d messages came faster than this subscriber took them, and were dropped for it", e.Missed)
}

// ActorDied says that a process ended while somebody still needed it: every call into it, and
// its nursery if it is not restarted, fails with that. It matches [ErrActorLost].
//
// The host makes it when the process has been reaped and its output read to the end, since the
// last lines on stderr are usually the only explanation that there is.
type ActorDied struct {
	ID       actor.ID `json:"id"`
	ExitCode int      `json:"exit_code"`          // -1 if a signal ended it
	Signal   string   `json:"signal,omitempty"`   // its name in lower case, such as "killed"
	Limit    string   `json:"limit,omitempty"`    // the limit that it ran into, as far as its host can know
	LastLog  []string `json:"last_log,omitempty"` // the last lines on stderr that are its author's

	// What the kernel knows of it, zero where it does not: the most memory that it had, in
	// bytes, the processor time that it used, and whether it was killed for lack of memory.
	PeakRSS int64         `json:"peak_rss,omitempty"`
	CPU     time.Duration `json:"cpu,omitempty"`
	OOM     bool          `json:"oom,omitempty"`

	// Host is the host on whose machine it ran, empty for the machine of its parent.
	Host string `json:"host,omitempty"`
}

func (e *ActorDied) Error() string {
	how := fmt.Sprintf("exit code %d", e.ExitCode)
	if e.Signal != "" {
		how = "signal " + e.Signal
	}
	text := fmt.Sprintf("actor %s died (%s)", e.ID, how)
	if e.Host != "" {
		text = fmt.Sprintf("actor %s on host %s died (%s)", e.ID, e.Host, how)
	}
	if e.Limit != "" {
		text += "; it ran into its limit of " + e.Limit
	} else if e.OOM {
		text += "; the kernel killed it, or what it had started, for lack of memory"
		if e.PeakRSS > 0 {
			text += fmt.Sprintf(" (it had %d MiB)", e.PeakRSS>>20)
		}
	}
	if n := len(e.LastLog); n > 0 {
		text += fmt.Sprintf("; its last words: %q", e.LastLog[n-1])
	}
	return text
}

// LinkLost says that the connection to an actor ended without having been asked
// to. Whether the actor lives is not known; its host finds that out, and restarts it if its
// spec says so. It matches [ErrActorLost]. A process that dies closes its connection first, and
// is reaped a moment later: a host that sees the end of a link waits for that moment, and reports
// an [ActorDied] if there is one. LinkLost is left for the child's side of the link, and for a
// process that lives on without a connection.
type LinkLost struct {
	Peer   actor.ID `json:"peer"`
	Reason string   `json:"reason"` // of the transport
}

func (e *LinkLost) Error() string {
	return fmt.Sprintf("link to %s lost: %s", e.Peer, e.Reason)
}

// HostLost says that the host is lost on whose machine an actor ran, or the way to it: what is known of
// the actor is only that it ends, by its lease at the latest. It matches [ErrActorLost].
type HostLost struct {
	Host string `json:"host"`
	// Epoch is that of the host's membership in a registry; 0 without one.
	Epoch  uint64 `json:"epoch,omitempty"`
	Reason string `json:"reason"`
}

func (e *HostLost) Error() string {
	return fmt.Sprintf("host %s lost: %s", words.Quote(e.Host), e.Reason)
}

// NotExposed says which endpoint was asked for and what there is instead. It
// matches ErrNotExposed.
type NotExposed struct {
	Actor    actor.ID `json:"actor"`
	Endpoint string   `json:"endpoint"`
	Kind     string   `json:"kind"`              // the kind that was asked for
	Actual   string   `json:"actual,omitempty"`  // the kind that the endpoint has
	Exposed  []string `json:"exposed,omitempty"` // what is served, if there is none of that name
}

// Error does not name the actor: whoever has asked knows it, and where the error crosses
// a link its name goes ahead.
func (e *NotExposed) Error() string {
	if e.Actual != "" {
		return fmt.Sprintf("endpoint %s is a %s, it was opened as a %s", words.Quote(e.Endpoint), e.Actual, e.Kind)
	}
	have := "no endpoint is"
	if len(e.Exposed) > 0 {
		have = "exposed: " + words.List(e.Exposed, ", ")
	}
	return fmt.Sprintf("%s %s is not exposed; %s%s", e.Kind, words.Quote(e.Endpoint), have, words.DidYouMean(e.Endpoint, e.Exposed))
}

// Is matches ErrNotExposed.
func (e *NotExposed) Is(target error) bool { return target == ErrNotExposed }

// NurseryClosed says why a nursery takes no more children: nil if its work is simply
// done. It matches ErrNurseryClosed, and is not a failure beside the one that it wraps: a task
// that was refused a child because its nursery was failing adds nothing to that failure.
type NurseryClosed struct {
	Err error `json:"-"` // travels as a cause
}

func (e *NurseryClosed) Error() string {
	if e.Err == nil {
		return ErrNurseryClosed.Error()
	}
	return ErrNurseryClosed.Error() + ": " + text(e.Err)
}

// Is matches ErrNurseryClosed.
func (e *NurseryClosed) Is(target error) bool { return target == ErrNurseryClosed }

// Unwrap returns the reason.
func (e *NurseryClosed) Unwrap() error { return e.Err }

// ContractError says that a value does not fit the type an endpoint declares: the two programs
// were built with different types, a value cannot be encoded, or would lose its content.
// The side that finds it out names the other one in the text.
type ContractError struct {
	Endpoint string `json:"endpoint"`         // its name
	What     string `json:"what"`             // "arguments", "message", "result", …
	Want     string `json:"want"`             // the type that the endpoint declares
	Got      string `json:"got"`              // the type or value that came
	Field    string `json:"field,omitempty"`  // where they differ, such as "Inner.List"
	Detail   string `json:"detail,omitempty"` // what a decoder says, or what to do
}

func (e *ContractError) Error() string {
	do := "does"
	if strings.HasSuffix(e.What, "s") { // arguments, types
		do = "do"
	}
	text := fmt.Sprintf("endpoint %q: %s %s not fit: want %s, got %s", e.Endpoint, e.What, do, e.Want, e.Got)
	if e.Field != "" {
		text += fmt.Sprintf(", at field %q", e.Field)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// ErrGoexit is what a task failed with that called runtime.Goexit, as a failing
// test does, and so neither returned nor panicked.
var ErrGoexit = errors.New("the task called runtime.Goexit")

// PanicError is a panic of an author's code, made an error where it happened. The process goes
// on: the caller of the handler that panicked gets it. A scope function that has panicked
// panics again where its scope was called, once the scope has ended.
type PanicError struct {
	Value string `json:"value"` // what was given to panic, as text of at most 32 KiB
	Stack string `json:"-"`     // of the goroutine; RemoteError.Stack at the far side
}

func (e *PanicError) Error() string { return "panic: " + e.Value }

// Overdue is what a dialog ended with whose task at the other end was told to end and
// had not when its opener's deadline, and the cancel bound after it, had passed. The
// task may still go on. It matches what the dialog had failed with, and
// ErrCancelUnacked.
//
// It is the one case in which a caller with a deadline returns before its callee has: a call
// that was given 300 ms must not take as long as a stuck plugin lives. It never leaves the
// process as a type; at the far end it is an error with two causes.
type Overdue struct {
	Cause   error // the deadline, or why the task had been told to end before
	Unacked error // who did not end within which bound
}

func (e *Overdue) Error() string { return text(e.Cause) + "; " + text(e.Unacked) }

// Unwrap gives both.
func (e *Overdue) Unwrap() []error { return []error{e.Cause, e.Unacked} }

// Group is two or more independent failures of one scope. errors.Is and errors.As look through
// all of them. It differs from what errors.Join gives in its text, which is one line and says how
// many failures there are, as a log needs it.
type Group struct {
	Errs []error // in the order in which they came
}

func (g *Group) Error() string {
	texts := make([]string, len(g.Errs))
	for i, err := range g.Errs {
		texts[i] = text(err)
	}
	return fmt.Sprintf("%d failures: %s", len(g.Errs), strings.Join(texts, "; "))
}

// Unwrap returns every failure of the group.
func (g *Group) Unwrap() []error { return g.Errs }

// Join gathers independent failures: none is nil, one is itself, more are a
// *Group. Nil errors do not count.
func Join(errs ...error) error {
	switch kept := notNil(errs...); len(kept) {
	case 0:
		return nil
	case 1:
		return kept[0]
	default:
		return &Group{Errs: kept}
	}
}
