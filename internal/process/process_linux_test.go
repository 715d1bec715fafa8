package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func TestN16_ExitCodeAndLastLog(t *testing.T) {
	words := []string{}
	for i := range 30 {
		words = append(words, fmt.Sprintf(`err:line %d\n`, i))
	}
	p, _ := start(t, append(words, `err:no \xff text`, "exit:7")...)
	exit := ended(t, p)
	if exit.Code != 7 || exit.Signal != 0 || exit.Success() {
		t.Errorf("exit = %+v", exit)
	}
	if len(exit.LastLog) != tailLines || exit.LastLog[0] != "line 11" || exit.LastLog[19] != "no \uFFFD text" {
		t.Errorf("last log = %q", exit.LastLog)
	}
	var ee *ExitError
	if err := p.Runner().Wait(t.Context()); !errors.As(err, &ee) || ee.Code != 7 || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("Wait = %v", err)
	}
}

func TestN16_CleanExit(t *testing.T) {
	p, _ := start(t, "handshake", "exit:0")
	if exit := ended(t, p); !exit.Success() || len(exit.LastLog) != 0 {
		t.Errorf("exit = %+v", exit)
	}
	if err := p.Runner().Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if p.State() != Ended || p.HandshakeError() != nil {
		t.Error(p.State(), p.HandshakeError())
	}
}

func TestN16_DeathBySignal(t *testing.T) {
	p, _ := start(t, `err:goodbye\n`, "kill")
	exit := ended(t, p)
	if exit.Signal != syscall.SIGKILL || exit.Code != -1 || exit.String() != "signal 9 (killed)" {
		t.Errorf("exit = %+v, %s", exit, exit)
	}
	if len(exit.LastLog) != 1 || exit.LastLog[0] != "goodbye" {
		t.Errorf("last log = %q", exit.LastLog)
	}
}

func TestN16_PanicIsRemembered(t *testing.T) {
	p, _ := start(t, "panic")
	exit := ended(t, p)
	if exit.Code != 2 || exit.Panic != "panic: something broke" {
		t.Errorf("exit = %+v", exit)
	}
	if err := p.Runner().Wait(t.Context()); !strings.Contains(err.Error(), "something broke") {
		t.Error(err)
	}
}

func TestN08_TerminateEndsAWellBehavedChild(t *testing.T) {
	p, l := start(t, "pid", "block")
	l.expectPID(t)
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, p); exit.Signal != syscall.SIGTERM {
		t.Errorf("exit = %+v", exit)
	}
	if err := p.Terminate(); err != nil {
		t.Errorf("Terminate after the end: %v", err)
	}
}

func TestN08_DeafChildIsKilled(t *testing.T) {
	p, l := start(t, "ignore", "pid", "block")
	l.expectPID(t)
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, p); exit.Signal != syscall.SIGKILL {
		t.Errorf("exit = %+v", exit)
	}
	for range 3 {
		if err := p.Kill(t.Context()); err != nil {
			t.Errorf("Kill again: %v", err)
		}
	}
}

func TestN08_KillIsBoundedByItsContext(t *testing.T) {
	p, _ := start(t, "block")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no patience")
	cancel(why)
	if err := p.Kill(ctx); err != nil && !errors.Is(err, why) {
		t.Error(err)
	}
	ended(t, p)
}

func TestF04_GrandchildWithThePipesDoesNotDelayDone(t *testing.T) {
	p, l := start(t, "handshake", "fork", `err:last words\n`, "exit:3")
	grandchild := l.expectPID(t)
	exit := ended(t, p)
	if exit.Code != 3 || len(exit.LastLog) != 2 || exit.LastLog[1] != "last words" {
		t.Errorf("exit = %+v", exit)
	}
	gone(t, grandchild) // it was in the group
}

func TestF04_FledGrandchildDoesNotDelayDone(t *testing.T) {
	p, l := start(t, "handshake", "fork:setsid", `err:last words\n`, "exit:3")
	grandchild := l.expectPID(t)
	defer syscall.Kill(grandchild, syscall.SIGKILL)
	exit := ended(t, p)
	if exit.Code != 3 || len(exit.LastLog) != 2 || exit.LastLog[1] != "last words" {
		t.Errorf("exit = %+v", exit)
	}
}

func TestF04_LinesOfAnyLength(t *testing.T) {
	long := strings.Repeat("x", 1000)
	words := []string{"handshake"}
	for range 200 {
		words = append(words, "out:"+long)
	}
	p, l := start(t, append(words, `out:\nshort\n`, `err:\n\nno end`)...)
	ended(t, p)
	if got, want := l.text(Stdout), strings.Repeat(long, 200)+"\nshort\n"; got != want {
		t.Errorf("stdout has %d bytes, expected %d", len(got), len(want))
	}
	if got := l.text(Stderr); got != "\n\nno end\n" {
		t.Errorf("stderr = %q", got)
	}
	for _, line := range l.all {
		if len(line.Text) > maxLine || line.Part.GoesOn() != (len(line.Text) == maxLine) {
			t.Errorf("a line of %d bytes, %v", len(line.Text), line.Part)
		}
	}
}

func TestF04_BinaryGarbage(t *testing.T) {
	p, l := start(t, "handshake", `out:\x00\xff\xfe\r\x1b[31m\n`, `err:\x00\xc3\x28`)
	exit := ended(t, p)
	if got := l.text(Stdout); got != "\x00\xff\xfe\r\x1b[31m\n" {
		t.Errorf("stdout = %q", got)
	}
	if exit.LastLog[0] != "\x00\uFFFD(" {
		t.Errorf("last log = %q", exit.LastLog)
	}
}

func TestF04_NobodyReads(t *testing.T) {
	spec := child0("handshake", "flood:10485760", "flooderr:10485760", "exit:5")
	spec.Log = func(Line) {}
	p, _ := startSpec(t, spec)
	if exit := ended(t, p); exit.Code != 5 {
		t.Errorf("exit = %+v", exit)
	}
}

func TestF04_LogThatNeverReturns(t *testing.T) {
	spec := child0("handshake", "flood:10485760", "exit:5")
	free := make(chan struct{})
	var after []Line
	spec.Log = func(line Line) {
		<-free
		after = append(after, line)
	}
	p, _ := startSpec(t, spec)
	<-p.Done()
	if exit, _ := p.Exit(); exit.Code != 5 {
		t.Errorf("exit = %+v", exit)
	}
	select {
	case <-p.Flushed():
		t.Error("flushed while Log hangs")
	default:
	}
	close(free)
	<-p.Flushed()
	dropped := 0
	for _, line := range after {
		dropped += line.Dropped
		if line.Stream != 0 {
			dropped++
		}
	}
	if want := 10485760 / 16; dropped != want {
		t.Errorf("%d lines logged or counted, of %d", dropped, want)
	}
}
