package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// known is what errors.Is and errors.As can find on the far side of a process
// boundary. It is filled by init functions and read ever after. Its lock is never held while a
// method of an error runs: an Is or an UnmarshalCBOR may register something, or wait for
// somebody who does. Each direction has a map of its own, as both ends of a link look things up:
// the one that packs by the value or type, the one that unpacks by the name.
var known = struct {
	sync.RWMutex
	sentinels names[error]
	types     names[reflect.Type] // of the struct, not of the pointer
}{
	sentinels: names[error]{"sentinel", map[error]string{}, map[string]error{}},
	types:     names[reflect.Type]{"type", map[reflect.Type]string{}, map[string]reflect.Type{}},
}

// names are what things of one kind are called.
type names[V comparable] struct {
	kind string
	of   map[V]string
	by   map[string]V
}

// add panics, as a name is a constant in the source: a program with a bad one should not
// come up, rather than send errors that nobody can decode. maxName is also where [shorten] would
// cut a name, which would make it another one.
func (n names[V]) add(name string, v V) {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		panic(fmt.Sprintf("fault: %q cannot be the name of an error: it must be text of 1 to %d bytes", name, maxName))
	}
	known.Lock()
	defer known.Unlock()
	if old, taken := n.by[name]; taken && old != v {
		panic(fmt.Sprintf("fault: %s name %q is already registered for %q", n.kind, name, fmt.Sprint(old)))
	}
	n.by[name], n.of[v] = v, name
}

// Sentinel makes errors.Is(err, sentinel) work across processes. Both ends
// register the same name, usually in the package that declares the sentinel. It
// panics if the name is taken by another error, and if it is empty or no UTF-8.
//
// Both programs may also know one sentinel by several names, as after a renaming. All of them
// are understood, and the one that was registered last is sent.
func Sentinel(name string, sentinel error) {
	if sentinel == nil || !reflect.ValueOf(sentinel).Comparable() {
		panic(fmt.Sprintf("fault: sentinel %q is nil or cannot be compared", name))
	}
	known.sentinels.add(name, sentinel)
}

// Type makes errors.As work across processes, for a struct type T that is an error
// itself or whose pointer is one. The exported fields travel as CBOR (json tags are
// honoured). What was returned as a *T is found as one; where T is an error itself, both
// a T and a *T are found, whichever was returned. Both ends register the same name: %+v
// says where one has not. It panics if the name is taken by another type, and if it is
// empty or no UTF-8.
func Type[T any, P interface {
	*T
	error
}](name string) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("fault: %s is not a struct type", t))
	}
	known.types.add(name, t)
}

// init registers what the runtime itself can raise, and those sentinels of the standard library
// that programs compare with. docs/protocol lists the names for other languages.
func init() {
	for name, err := range map[string]error{
		"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
		"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "io.ErrClosedPipe": io.ErrClosedPipe,
		"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrExist": fs.ErrExist, "fs.ErrPermission": fs.ErrPermission,
		"fs.ErrInvalid": fs.ErrInvalid, "fs.ErrClosed": fs.ErrClosed,
		"os.ErrDeadlineExceeded": os.ErrDeadlineExceeded, "errors.ErrUnsupported": errors.ErrUnsupported,
		"trellis.NotExposed": ErrNotExposed, "trellis.NotStarted": ErrNotStarted,
		"trellis.NeverStarted": ErrNeverStarted, "trellis.StartedTwice": ErrStartedTwice,
		"trellis.StreamClosed": ErrStreamClosed, "trellis.MessageTooLarge": ErrMessageTooLarge,
		"trellis.NurseryClosed": ErrNurseryClosed, "trellis.CancelUnacked": ErrCancelUnacked,
		"trellis.ActorTooSlow": ErrActorTooSlow, "trellis.ActorClosing": ErrActorClosing,
		"trellis.Overloaded": ErrOverloaded, "trellis.NotAllowed": ErrNotAllowed, "trellis.Protocol": ErrProtocol, "trellis.ActorDown": ErrActorDown,
		"trellis.Goexit": ErrGoexit,
	} {
		Sentinel(name, err)
	}
	Type[ContextCancelled]("trellis.ContextCancelled")
	Type[StreamOverrun]("trellis.StreamOverrun")
	Type[Lagged]("trellis.Lagged")
	Type[ActorDied]("trellis.ActorDied")
	Type[LinkLost]("trellis.LinkLost")
	Type[HostLost]("trellis.HostLost")
	Type[NotExposed]("trellis.NotExposed")
	Type[NurseryClosed]("trellis.NurseryClosed")
	Type[ContractError]("trellis.ContractError")
	Type[PanicError]("trellis.Panic")
	Type[ActorUnhealthy]("trellis.ActorUnhealthy")
	Type[ActorStuck]("trellis.ActorStuck")
	Type[RestartLimit]("trellis.RestartLimit")
}

// sentinelName returns the registered name of err itself, not of what it wraps.
func sentinelName(err error) string {
	if !reflect.ValueOf(err).Comparable() { // a comparable type may hold values that are not
		return ""
	}
	known.RLock()
	defer known.RUnlock()
	return known.sentinels.of[err]
}

// claimedName returns the registered name of the sentinel that err says it is: with
// an Is method of its own, as syscall.Errno has it, and what cancels the ctx of
// signal.NotifyContext. If it claims to be several, the first name in the order of the alphabet
// counts, so that the answer is not a matter of the order in which a map is walked.
func claimedName(err error) string {
	if !judges(err) {
		return ""
	}
	known.RLock()
	sentinels := maps.Clone(known.sentinels.by) // Is is not ours: it runs without the lock
	known.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(sentinels)) {
		if claims(err, sentinels[name]) {
			return name
		}
	}
	return ""
}

// typed returns the registered name of err's own type, and a pointer to its fields: the
// methods that encode them may be the pointer's, also of an error that is used by value.
// There are no fields behind a nil pointer.
func typed(err error) (name string, fields any) {
	v := reflect.ValueOf(err)
	switch {
	case v.Kind() != reflect.Pointer:
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		v = p
	case v.IsNil():
		return "", nil
	}
	known.RLock()
	defer known.RUnlock()
	return known.types.of[v.Type().Elem()], v.Interface()
}

// revive rebuilds the local error that a record names: the sentinel itself, or a
// value of the registered type. There is none if this process does not know the name.
//
// A type that is an error by its value is stood in for twice, by a pointer and by a value:
// errors.As goes by the exact type, and which of the two the callee's handler returned is
// neither sent nor known to whoever writes the caller.
func revive(r *wire.Node) *standIn {
	known.RLock()
	sentinel, t := known.sentinels.by[r.Name], known.types.by[r.Name]
	known.RUnlock()
	switch {
	case r.Name == "":
		return &standIn{note: unnamed(r)}
	case len(r.Detail) == 0 && sentinel != nil:
		return &standIn{errs: []error{sentinel}}
	case len(r.Detail) == 0:
		return &standIn{note: fmt.Sprintf("sentinel %q is not registered in this program", r.Name)}
	case t == nil:
		return &standIn{note: fmt.Sprintf("type %q is not registered in this program", r.Name)}
	}
	v := reflect.New(t)
	if err := unmarshal(r.Detail, v.Interface()); err != nil {
		return &standIn{note: fmt.Sprintf("the fields of %s could not be read: %s", r.Name, words.Clip(text(err), maxName))}
	}
	if p, ok := reflect.TypeAssert[*PanicError](v); ok {
		p.Stack = r.Stack
	}
	s := &standIn{errs: []error{v.Interface().(error)}}
	if byValue, ok := reflect.TypeAssert[error](v.Elem()); ok {
		s.errs = append(s.errs, byValue)
	}
	return s
}

// unnamed is a hint at a type that only this program has registered. What came without
// its name for another reason has a note that says so.
func unnamed(r *wire.Node) string {
	if r.Note != "" {
		return ""
	}
	known.RLock()
	defer known.RUnlock()
	for t, name := range known.types.of {
		if t.String() == strings.TrimPrefix(r.Type, "*") {
			return fmt.Sprintf("type %q is registered in this program, and not in the one that returned the error", name)
		}
	}
	return ""
}
