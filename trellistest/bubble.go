package trellistest

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// Bubble runs f in virtual time, in a bubble of package testing/synctest: time passes when
// everything in the bubble waits, and what takes an hour is over at once. Actors that f serves,
// and trees that it hosts, run inside. A bubble in which everything waits for ever fails t with
// the stacks of what waits; so does one whose goroutines are left at its end.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	var name []byte
	defer func() {
		t.Helper()
		if p := recover(); p != nil {
			reportDeadlock(t, p, name)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		name = bubbleName()
		f(t)
	})
}

// reportDeadlock reports what package synctest panics with: no goroutine of the bubble goes on.
// The stacks of those that are left say where they wait. Any other panic goes on.
func reportDeadlock(t *testing.T, p any, bubble []byte) {
	t.Helper()
	reason, ok := strings.CutPrefix(fmt.Sprint(p), "deadlock: ")
	if _, isError := p.(error); !isError || !ok {
		panic(p)
	}
	t.Fatalf("trellistest: a deadlock: %s; they wait for something that nobody does any more:\n%s", reason, stacksInBubble(bubble))
}

// stacksInBubble are those of the goroutines of one bubble.
func stacksInBubble(bubble []byte) string {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	var found []string
	for stack := range bytes.SplitSeq(text, []byte("\n\n")) {
		if head, _, _ := bytes.Cut(stack, []byte("\n")); len(bubble) > 0 && bytes.Contains(head, bubble) {
			found = append(found, string(stack))
		}
	}
	return strings.Join(found, "\n\n")
}

// bubbleName is how the traces of goroutines name the bubble of the caller; nil if it runs in
// none. Package synctest does not say it.
func bubbleName() []byte {
	var text [128]byte // goroutine 7 [running, synctest bubble 1]:
	head, _, _ := bytes.Cut(text[:runtime.Stack(text[:], false)], []byte("\n"))
	begin, end := bytes.Index(head, []byte("synctest bubble")), bytes.LastIndexByte(head, ']')
	if begin < 0 || end < begin {
		return nil
	}
	return bytes.Clone(head[begin : end+1]) // the bracket tells bubble 1 from bubble 10
}

func inBubble() bool { return bubbleName() != nil }
