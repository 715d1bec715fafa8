//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind is what a blow does.
type Kind string

// The kinds of blows.
const (
	Kill     Kind = "kill"        // SIGKILL
	Term     Kind = "term"        // SIGTERM
	Stop     Kind = "stop"        // SIGSTOP, until the health checks find it
	Nap      Kind = "nap"         // SIGSTOP and soon SIGCONT: nothing may happen
	CutLink  Kind = "cut-link"    // breaks the socket of a link
	CutMain  Kind = "cut-main"    // breaks the socket of go-plugin's connection
	Shout    Kind = "shout"       // megabytes on stdout and stderr without an end of line
	Starve   Kind = "starve"      // no file descriptors for a while
	StarveUp Kind = "starve-host" // no descriptors in the host while it has to restart a child
	Again    Kind = "kill-again"  // SIGKILL, and again while the next process boots
	Pair     Kind = "kill-pair"   // SIGKILL to two actors at once
	Family   Kind = "kill-family" // SIGKILL to a host and one of its children at once
	Limit    Kind = "limit"       // more deaths than a supervisor may answer
	Nest     Kind = "nest"        // a nursery in a running actor whose child cannot live
	RootKill Kind = "root-kill"   // SIGKILL to the root host, which is then started again
	RootStop Kind = "root-stop"   // the same after SIGSTOP to it and to another actor
	RootEnd  Kind = "root-end"    // SIGINT to the root host: an end in order
)

// Blow is one step of a plan.
type Blow struct {
	N      int
	Kind   Kind
	Target string
	Other  string        // who else is struck, if anybody
	Cut    string        // how a socket is broken: "read", "write", "both" or "garble"
	AtHost bool          // it is broken at the host's end, not at the child's
	Pause  time.Duration // before the blow, so that it falls anywhere into the traffic
	Wait   time.Duration // within it
}

// String is the blow in one line, the same for the same plan.
func (b Blow) String() string {
	s := fmt.Sprintf("%4d  +%-5v %-11s %s", b.N, b.Pause, b.Kind, b.Target)
	if b.Other != "" {
		s += " and " + b.Other
	}
	if b.Cut != "" {
		side := "its own end"
		if b.AtHost {
			side = "its host's end"
		}
		s += fmt.Sprintf(" (%s, at %s)", b.Cut, side)
	}
	if b.Wait > 0 {
		s += fmt.Sprintf(" (%v)", b.Wait)
	}
	return s
}

// weights say how often a kind comes, in a thousand. Those that need time to heal
// come less often.
var weights = []struct {
	kind Kind
	of   int
}{
	{Kill, 270}, {Term, 120}, {Stop, 30}, {Nap, 50}, {CutLink, 220}, {CutMain, 30}, {Shout, 40}, {Starve, 40},
	{StarveUp, 30}, {Again, 40}, {Pair, 40}, {Family, 15}, {Limit, 10}, {Nest, 20}, {RootKill, 13}, {RootStop, 6}, {RootEnd, 6},
}

// Plan is the list of blows of a seed. It is the same for the same seed, and a
// longer one begins with the shorter one.
func Plan(seed uint64, blows int) []Blow {
	r := rand.New(rand.NewPCG(seed, 0x7e11)) //nolint:gosec // it has to be repeatable, not secret
	plan := make([]Blow, 0, blows)
	for n := 1; n <= blows; n++ {
		plan = append(plan, draw(r, n))
	}
	return plan
}

func draw(r *rand.Rand, n int) Blow {
	b := Blow{N: n, Kind: drawKind(r), Pause: upTo(r, 30)}
	switch b.Kind {
	case Nap:
		b.Target, b.Wait = drawChild(r), 10*time.Millisecond+upTo(r, 60)
	case CutLink, CutMain:
		b.Target, b.AtHost = drawChild(r), r.IntN(2) == 0
		b.Cut = pick(r, []string{"read", "write", "both", "garble"})
	case Starve:
		b.Target, b.Wait = drawChild(r), 20*time.Millisecond+upTo(r, 80)
	case StarveUp:
		b.Target = drawChild(r)
	case Again:
		b.Target, b.Wait = drawChild(r), upTo(r, 30)
	case Pair:
		b.Target, b.Other = drawPair(r)
	case Family:
		b.Other = pick(r, leaves())
		b.Target = parentOf(b.Other)
	case Limit:
		b.Target = pick(r, childrenOf(cliff))
	case Nest:
		b.Target = pick(r, hosts())
	case RootStop:
		b.Target, b.Other = root, drawChild(r)
	case RootKill, RootEnd:
		b.Target = root
	default:
		b.Target = drawChild(r)
	}
	return b
}

func drawKind(r *rand.Rand) Kind {
	all := 0
	for _, w := range weights {
		all += w.of
	}
	n := r.IntN(all)
	for _, w := range weights {
		if n -= w.of; n < 0 {
			return w.kind
		}
	}
	return Kill
}

// drawChild is most often a leaf, as a host takes its children with it.
func drawChild(r *rand.Rand) string {
	if r.IntN(6) == 0 {
		return pick(r, childrenOf(root))
	}
	return pick(r, leaves())
}

// drawPair is two different leaves.
func drawPair(r *rand.Rand) (one, other string) {
	all := leaves()
	i, j := r.IntN(len(all)), r.IntN(len(all)-1)
	if j >= i {
		j++
	}
	return all[i], all[j]
}

func pick(r *rand.Rand, names []string) string { return names[r.IntN(len(names))] }

// upTo draws a time below a number of milliseconds.
func upTo(r *rand.Rand, ms int) time.Duration {
	return time.Duration(r.IntN(ms*1000)) * time.Microsecond
}
