package trellistest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// actorLabel marks the goroutines of an actor, in profiles as well. Whatever a goroutine starts
// has its labels, so that those of an author's own go statements can be told from others'.
const actorLabel = "trellistest.actor"

// as runs f, and whatever that starts, as a part of an actor.
func as(id actor.ID, f func(ctx context.Context)) {
	pprof.Do(context.Background(), pprof.Labels(actorLabel, id.UUID), f)
}

const module = "github.com/seed-2ba35074/trellis/"

// goroutines are some that have the same stack.
type goroutines struct {
	labels string
	count  int
	parked bool // they wait for something
	stack  string
}

func (g goroutines) String() string { return fmt.Sprintf("%d goroutine(s) at\n%s", g.count, g.stack) }

// runtimePackages begin the names of those of this module that no author writes.
var runtimePackages = []string{"internal/", "shared/", "sdk", "trellistest"}

// ours reports whether no function on the stack is an author's: they are the standard library's
// and the runtime's.
func (g goroutines) ours() bool {
	for line := range strings.Lines(g.stack) {
		name := strings.TrimPrefix(line, "\t")
		if strings.HasPrefix(name, "\t") {
			continue // the place
		}
		slash := strings.LastIndex(name, "/") + 1
		last, _, _ := strings.Cut(name[slash:], ".")
		pkg := name[:slash] + last
		if own, inModule := strings.CutPrefix(pkg, module); inModule {
			if strings.HasSuffix(own, "_test") || !slices.ContainsFunc(runtimePackages, func(p string) bool { return strings.HasPrefix(own, p) }) {
				return false
			}
			continue
		}
		if domain, _, _ := strings.Cut(pkg, "/"); pkg == "main" || strings.Contains(domain, ".") {
			return false
		}
	}
	return true
}

// goroutinesOf are those of an actor.
func goroutinesOf(id actor.ID) (own []goroutines) {
	for _, g := range allGoroutines() {
		if strings.Contains(g.labels, strconv.Quote(actorLabel)+":"+strconv.Quote(id.UUID)) {
			own = append(own, g)
		}
	}
	return own
}

// allGoroutines reads the profile that has the labels of goroutines. In it follow, for each
// stack, the number of goroutines and the program counters, a line of labels if there are some,
// and the frames, down to an empty line.
func allGoroutines() (all []goroutines) {
	var text bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&text, 1) // a buffer takes everything
	lines := bufio.NewScanner(&text)
	lines.Buffer(nil, text.Len()+1)
	for lines.Scan() {
		head, counters, ok := strings.Cut(lines.Text(), " @ ")
		count, err := strconv.Atoi(head)
		if !ok || err != nil {
			continue // the first line of all
		}
		g := goroutines{count: count, parked: parked(counters)}
		for lines.Scan() && lines.Text() != "" {
			if labels, ok := strings.CutPrefix(lines.Text(), "# labels: "); ok {
				g.labels = labels
				continue
			}
			g.stack += frameText(lines.Text())
		}
		all = append(all, g)
	}
	return all
}

// frameText is a frame of a profile without its addresses.
func frameText(line string) string {
	fields := strings.Split(line, "\t") // "#", address, function+offset, place
	if len(fields) < 4 {
		return ""
	}
	name, _, _ := strings.Cut(fields[2], "+0x")
	return "\t" + name + "\n\t\t" + strings.TrimSpace(fields[len(fields)-1]) + "\n"
}

// parked reports whether a goroutine with these program counters waits for something; one that
// does not runs, or is about to.
func parked(counters string) bool {
	first, _, _ := strings.Cut(counters, " ")
	pc, err := strconv.ParseUint(strings.TrimPrefix(first, "0x"), 16, 64)
	if err != nil {
		return false
	}
	frame, _ := runtime.CallersFrames([]uintptr{uintptr(pc)}).Next()
	return frame.Function == "runtime.gopark"
}

// Those that have done their work need a moment to be gone, on a busy machine a long one. One
// that runs gets patience; those that all wait are looked at again for a while.
const (
	runningPatience = 10 * time.Second
	parkedPatience  = time.Second
	lookAgain       = 5 * time.Millisecond
)

// leftOf waits until no goroutine of an actor is left, and gives those that stay.
func leftOf(id actor.ID) []goroutines {
	if inBubble() {
		synctest.Wait() // what is left now waits for something that does not come
		return goroutinesOf(id)
	}
	begun, still := time.Now(), time.Now()
	for {
		left := goroutinesOf(id)
		if !allParked(left) {
			still = time.Now()
		}
		if len(left) == 0 || time.Since(begun) > runningPatience || time.Since(still) > parkedPatience {
			return left
		}
		<-time.After(lookAgain)
	}
}

func allParked(all []goroutines) bool {
	for _, g := range all {
		if !g.parked {
			return false
		}
	}
	return true
}
