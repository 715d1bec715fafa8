package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"
)

// HostPrefix begins the names of the hosts themselves: a membership of host a holds host/a from
// [Registry.Join] to its end. [Membership.Hold] refuses names that begin with it.
const HostPrefix = "host/"

// TreePrefix begins the names of trees: the root of tree census holds tree/census.
const TreePrefix = "tree/"

// Bounds of what a host may tell, and hold. A registry refuses more with an error.
const (
	MostNames = 100      // names that one membership holds at once
	MostName  = 250      // bytes of a name
	MostHost  = 16 << 10 // bytes of what a host says of itself, as JSON
)

// Host is what a host says of itself. Only Name is needed.
type Host struct {
	Name     string            `json:"name"`
	Address  string            `json:"address,omitempty"` // where other hosts reach it, as 10.0.0.1:7077
	Labels   map[string]string `json:"labels,omitempty"`
	Capacity int               `json:"capacity,omitempty"` // most actors of other hosts at once; 0 stands for none
	Draining bool              `json:"draining,omitempty"` // it takes no more actors
}

// Clone is a copy that shares nothing with h.
func (h Host) Clone() Host {
	h.Labels = maps.Clone(h.Labels)
	return h
}

// Check says what is wrong with what a host says of itself.
func (h Host) Check() error {
	if strings.Contains(h.Name, "/") {
		return fmt.Errorf("the host name %q has a slash, which separates the parts of names in a registry", h.Name)
	}
	size := len(h.Name) + len(h.Address)
	for k, v := range h.Labels {
		size += len(k) + len(v)
	}
	if size > MostHost/2 { // JSON may need more
		return fmt.Errorf("what host %.40q says of itself has %d bytes, more than %d", h.Name, size, MostHost/2)
	}
	return checkKey(HostPrefix + h.Name)
}

// checkKey says what is wrong with a name: it is printable ASCII without spaces, and has neither an empty
// part between its slashes nor more than [MostName] bytes.
func checkKey(name string) error {
	if len(name) > MostName {
		return fmt.Errorf("the name %.40q… has %d bytes, more than %d", name, len(name), MostName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" {
			return fmt.Errorf("the name %q is empty, or a part of it is", name)
		}
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return fmt.Errorf("the name %q has %q in it; names are printable ASCII without spaces", name, name[i])
	}
	return nil
}

// Member is a host that has joined. Its epoch tells it from an earlier one with its name: of two memberships
// in one registry the later has the higher epoch.
type Member struct {
	Host
	Epoch uint64 `json:"epoch"`
}

// Entry is a name that is held. Its epoch is higher than that of every earlier holding of a name, and
// so can guard what the holder does elsewhere: who has seen a higher one refuses it.
type Entry struct {
	Name   string `json:"name"`
	Epoch  uint64 `json:"epoch"`
	Holder Member `json:"holder"`
}

// Kind is what a [Change] tells.
type Kind int

// The kinds. A watch begins with Held for each name that is there, and Current; a Reset is
// followed by the same.
const (
	Held     Kind = iota + 1 // the name is held from now on
	Changed                  // its holder says something else of itself; the epoch is the same
	Released                 // nobody holds the name; the entry is the last that was known
	Current                  // all that is there has been told; the entry is empty
	Reset                    // the watcher missed something: all that it knows is void, and what is there follows
)

func (k Kind) String() string {
	if k < Held || k > Reset {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return [...]string{"held", "changed", "released", "current", "reset"}[k-Held]
}

// Change is one step of a watch.
type Change struct {
	Kind Kind
	Entry
}

// Registry says which hosts there are, and who holds which name. All methods may be called from
// any goroutine, and return by the end of their ctx at the latest. What they
// return is linearizable: a name that one host holds is found by everybody who asks after Hold has returned.
//
// A registry that cannot be asked gives an error with [ErrUnavailable] in it.
type Registry interface {
	// Join makes this host a member: all that it holds hangs on one lease, which is renewed until Leave, or
	// until that fails for too long. *HeldError if a live member has its name.
	Join(ctx context.Context, h Host) (Membership, error)
	// Hosts are the members, by name.
	Hosts(ctx context.Context) ([]Member, error)
	// Find says who holds a name; ErrNotHeld if nobody does.
	Find(ctx context.Context, name string) (Entry, error)
	// Watch tells of all names that begin with prefix: first those that are held, then Current, then all that happens to
	// them, in order and without a gap. What could not be followed is told as Reset, and what is there then follows.
	// It goes on while the registry cannot be asked, and ends when the loop is left, or with one error: the cause
	// of ctx when that ends, ErrClosed, or one that trying again cannot heal, as a wrong credential.
	Watch(ctx context.Context, prefix string) iter.Seq2[Change, error]
	// Close ends all memberships, as Leave does, within a second, and lets go of all that the registry needed.
	Close() error
}

// Membership is a host in a registry, and all names that it holds. It ends once: with Leave, Close, or because it is
// lost. From then on its methods fail with the *LostError that Err gives.
type Membership interface {
	// Epoch tells this membership from earlier ones.
	Epoch() uint64
	// Update replaces what the host says of itself, its name excepted, everywhere at once.
	Update(ctx context.Context, h Host) error
	// Hold takes a name that nobody holds, by compare-and-set, and returns the epoch of the
	// holding. *HeldError if another one holds it; if this membership does, it gives the epoch that it has.
	Hold(ctx context.Context, name string) (epoch uint64, err error)
	// Release gives a name back. One that this membership does not hold stays as it is.
	Release(ctx context.Context, name string) error
	// Until is the moment before which the registry gives nothing of this membership to another one, as
	// far as is known now. Each renewal moves it on. It counts the time for which the machine was suspended.
	Until() time.Time
	// Lost is closed when the membership has ended. If it could not be renewed, that is a margin before Until
	// (Settings.Margin), in which the host ends what must not be there twice; also if the registry says nothing.
	Lost() <-chan struct{}
	// Err says why the membership has ended; nil while it has not.
	Err() error
	// Leave gives all back at once, and ends the membership, whatever it returns: if it fails, the registry gives it all back
	// when the lease is over. A second call does nothing.
	Leave(ctx context.Context) error
}

// Errors of registries.
var (
	ErrNotHeld     = errors.New("nobody holds the name")
	ErrUnavailable = errors.New("the registry cannot be asked")
	ErrClosed      = errors.New("the registry was closed")
	ErrLeft        = errors.New("it left")
)

// HeldError says who holds a name that a host wanted.
type HeldError struct{ Entry }

func (e *HeldError) Error() string {
	at := ""
	if e.Holder.Address != "" {
		at = " at " + e.Holder.Address
	}
	return fmt.Sprintf("%s is held by host %s%s, since epoch %d", e.Name, e.Holder.Name, at, e.Epoch)
}

// LostError is why a membership has ended. Its cause is ErrLeft, ErrClosed, or what became of the last attempts to renew it.
type LostError struct {
	Host  string
	Epoch uint64
	Cause error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("host %s is not a member of the registry any more (epoch %d): %v", e.Host, e.Epoch, e.Cause)
}

func (e *LostError) Unwrap() error { return e.Cause }

// CheckHold says why a name cannot be held with [Membership.Hold]. Drivers ask it.
func CheckHold(name string) error {
	if strings.HasPrefix(name, HostPrefix) {
		return fmt.Errorf("the name %q is a host's own, which it holds from Join on", name)
	}
	return checkKey(name)
}

// TooManyNames is what Hold fails with for one name more than [MostNames]. Drivers return it.
func TooManyNames(host string) error {
	return fmt.Errorf("host %s holds %d names, and none can be added", host, MostNames)
}

// ServerName is a DNS name that the certificates of all hosts of a fleet have, besides their own identity: for servers
// of registries, which know only such names.
const ServerName = "host.trellis.internal"
