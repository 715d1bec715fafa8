package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// say is what an error tells, in the way that the rules look at it.
type say struct {
	cancel bool // somebody's wish that a task end
	echo   bool // the cause itself
	real   bool // something else
}

// TestC22_EveryCombination puts errors together from every kind of leaf, joined,
// wrapped and relayed in every way, for every kind of cause, and checks all four
// verdicts against what the leaves say.
func TestC22_EveryCombination(t *testing.T) {
	failure := errors.New("the cause")
	sent := cross(t, failure, leaf) // as the peer told it
	causes := map[string]error{
		"none": nil, "plain cancel": context.Canceled,
		"cancelled":         &fault.ContextCancelled{Canceller: top, Reason: "enough"},
		"relayed cancelled": cross(t, &fault.ContextCancelled{Canceller: top}, leaf, mid),
		"deadline":          context.DeadlineExceeded,
		"interrupt":         interrupt("interrupt signal received"),
		"failure":           failure, "relayed failure": sent,
	}
	for causeName, cause := range causes {
		// A deadline is one failure wherever it is noticed. A failure that has no id
		// yet is another one after it was sent.
		deadline := say{real: true}
		if cause == context.DeadlineExceeded {
			deadline = say{echo: true}
		}
		far := func(s say) say {
			if causeName == "failure" && s.echo {
				return say{real: true, cancel: s.cancel}
			}
			return s
		}
		type part struct {
			err  error
			says say
		}
		leaves := map[string]part{
			"ctx.Err":          {context.Canceled, say{cancel: true}},
			"cancelled":        {&fault.ContextCancelled{Canceller: root}, say{cancel: true}},
			"remote ctx.Err":   {cross(t, context.Canceled, leaf), say{cancel: true}},
			"remote cancelled": {cross(t, &fault.ContextCancelled{Canceller: leaf}, leaf, mid), say{cancel: true}},
			"real":             {io.ErrUnexpectedEOF, say{real: true}},
			"remote real":      {cross(t, io.ErrUnexpectedEOF, leaf), say{real: true}},
			"status":           {status.Error(1, "cancelled, says another system"), say{real: true}},
			"deadline":         {context.DeadlineExceeded, deadline},
			"remote deadline":  {cross(t, context.DeadlineExceeded, leaf), deadline},
			"panic":            {&fault.PanicError{Value: "x"}, say{real: true}},
			"dial, cancelled":  {dial(context.Canceled), say{cancel: true}},
			"dial, deadline":   {dial(context.DeadlineExceeded), deadline},
			"remote dial":      {cross(t, dial(context.Canceled), leaf), say{cancel: true}},
		}
		if cause != nil {
			leaves["cause"] = part{cause, sayOf(cause)}
		}
		if causeName == "relayed failure" {
			leaves["cause, relayed again"] = part{cross(t, sent, mid, top), say{echo: true}}
		}
		for aName, a := range leaves {
			for bName, b := range leaves {
				both := say{a.says.cancel || b.says.cancel, a.says.echo || b.says.echo, a.says.real || b.says.real}
				for form, c := range map[string]part{
					"alone":            {a.err, a.says},
					"wrapped":          {fmt.Errorf("w: %w", a.err), a.says},
					"wrapped twice":    {fmt.Errorf("w: %w", fmt.Errorf("w: %w", a.err)), a.says},
					"joined":           {errors.Join(a.err, b.err), both},
					"group":            {fault.Join(a.err, b.err), both},
					"two verbs":        {fmt.Errorf("%w while %w", a.err, b.err), both},
					"wrapped join":     {fmt.Errorf("w: %w", errors.Join(fmt.Errorf("w: %w", a.err), b.err)), both},
					"joined join":      {errors.Join(errors.Join(a.err), errors.Join(b.err, a.err)), both},
					"relayed":          {cross(t, a.err, mid), far(a.says)},
					"relayed, wrapped": {fmt.Errorf("w: %w", cross(t, fmt.Errorf("w: %w", a.err), mid)), far(a.says)},
					"relayed join":     {cross(t, errors.Join(a.err, b.err), mid, top), far(both)},
				} {
					name := fmt.Sprintf("cause %s: %s of %s and %s", causeName, form, aName, bName)
					checkVerdicts(t, name, c.err, cause, c.says)
				}
			}
		}
	}
}

// interrupt is what the ctx of signal.NotifyContext ends with: a cancel with words
// of its own.
type interrupt string

func (i interrupt) Error() string        { return string(i) }
func (i interrupt) Is(target error) bool { return target == context.Canceled }

// dial is what package net makes of a ctx that has ended, for the reason given.
func dial(reason error) error {
	ctx, cancel := context.WithCancel(context.Background())
	if reason == context.DeadlineExceeded {
		ctx, cancel = context.WithTimeout(context.Background(), 0)
	}
	cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	return err
}

// sayOf is what a cause itself says as a part of an error.
func sayOf(cause error) say { return say{echo: true, cancel: fault.IsCancel(cause)} }

func checkVerdicts(t *testing.T, name string, err, cause error, s say) {
	t.Helper()
	if got := fault.Echoes(err, cause); got != !s.real {
		t.Errorf("%s: Echoes is %v", name, got)
	}
	if got := fault.Holds(err, cause); got != s.echo && !fault.IsCancel(cause) { // for cancels it does not matter
		t.Errorf("%s: Holds is %v", name, got)
	}
	onlyCancel := fault.IsCancel(err)
	if want := !s.real && (!s.echo || fault.IsCancel(cause)); onlyCancel != want {
		t.Errorf("%s: IsCancel is %v", name, onlyCancel)
	}
	got := fault.Settle(err, cause)
	switch {
	case cause == nil:
		if got != err {
			t.Errorf("%s: Settle without a cause changed the error", name)
		}
	case !s.real: // it was only told to end: C09, C23
		if got != cause {
			t.Errorf("%s: Settle gave %v, want the cause itself", name, got)
		}
	case s.echo && !fault.IsCancel(cause): // C09: the cause, with what else failed
		if !fault.Holds(got, cause) || got.Error() != cause.Error() {
			t.Errorf("%s: Settle gave %v, want the cause with the rest", name, got)
		}
	default: // C22: a real failure wins
		if got != err {
			t.Errorf("%s: Settle gave %v, want the failure", name, got)
		}
	}
}

func TestC22_NothingFailed(t *testing.T) {
	if fault.Settle(nil, io.EOF) != nil || !fault.Echoes(nil, io.EOF) || fault.Holds(nil, io.EOF) || fault.IsCancel(nil) {
		t.Error("nil is not a failure, a cancel or an echo of itself")
	}
	if fault.Holds(io.EOF, nil) {
		t.Error("no cause is held by nothing")
	}
	for _, err := range []error{&fault.Group{}, nils{}, &fault.Group{Errs: []error{nil}}} {
		if fault.IsCancel(err) || fault.Echoes(err, io.EOF) {
			t.Errorf("%T without anything inside is still a failure", err)
		}
	}
}

// TestC09_TheProxiedCauseComesBackAsItself: whatever a callee returns because of
// a failure that it was told, the far end sees that failure, with its origin.
func TestC09_TheProxiedCauseComesBackAsItself(t *testing.T) {
	told := cross(t, fmt.Errorf("disk: %w", io.ErrShortWrite), leaf, mid)
	for name, returned := range map[string]error{
		"itself": told, "wrapped": fmt.Errorf("w: %w", told), "ctx.Err": context.Canceled,
		"joined": errors.Join(context.Canceled, told), "cancelled": &fault.ContextCancelled{Canceller: mid},
	} {
		back := remote(t, cross(t, fault.Settle(returned, told), top))
		if back.ID() != remote(t, told).ID() || back.Origin != leaf || back.Type != "*fmt.wrapError" || back.Message != "disk: short write" {
			t.Errorf("%s: %+v", name, back)
		}
		if n := len(back.Relays); n != 2 || back.Relays[1] != top {
			t.Errorf("%s: relays %v", name, back.Relays)
		}
		if fault.Also(back) != nil {
			t.Errorf("%s: also %v", name, fault.Also(back))
		}
	}
}

func TestC09_WhatFailedInTheCleanUpGoesAlong(t *testing.T) {
	told := cross(t, errors.New("first"), leaf)
	closing := errors.New("close failed")
	back := remote(t, cross(t, fault.Settle(errors.Join(told, closing, context.Canceled), told), mid, top))
	if back.ID() != remote(t, told).ID() || back.Message != "first" {
		t.Errorf("%+v", back)
	}
	also := remote(t, fault.Also(back))
	if also.Message != "close failed" || also.Origin != mid {
		t.Errorf("also %+v", also)
	}
	if fault.IsCancel(back) || !fault.Holds(back, told) || fault.Echoes(back, io.EOF) {
		t.Error("judged as something else after the relays")
	}
	if fault.Also(closing) != nil || fault.Also(nil) != nil {
		t.Error("nothing went along")
	}
}

// TestC22_ARealFailureWithACancelledCleanUp: what goes along with a failure does
// not make it a cancel.
func TestC22_ARealFailureWithACancelledCleanUp(t *testing.T) {
	f := fault.Pack(errors.New("real"), leaf)
	also := fault.Pack(context.Canceled, leaf).Root()
	also.Also = true
	f.Nodes = append(f.Nodes, also)
	if err := fault.Unpack(f); fault.IsCancel(err) || fault.Settle(err, context.Canceled) != err {
		t.Errorf("%+v", err)
	}
}

// wrapsQuietly is a registered type whose cause does not travel in its fields.
type wrapsQuietly struct {
	What  string
	cause error
}

func (w *wrapsQuietly) Error() string { return w.What }
func (w *wrapsQuietly) Unwrap() error { return w.cause }

func init() { fault.Type[wrapsQuietly]("test.WrapsQuietly") }

func TestC22_ARegisteredWrapperOfACancel(t *testing.T) {
	for _, inner := range []error{context.Canceled, io.EOF} {
		err := &wrapsQuietly{"w", inner}
		if near, far := fault.IsCancel(err), fault.IsCancel(cross(t, err, leaf)); near != far {
			t.Errorf("around %v: %v here, %v after a hop", inner, near, far)
		}
	}
}

func TestC17_CancelledFindsWhoAsked(t *testing.T) {
	asked := &fault.ContextCancelled{Canceller: top, Reason: "enough"}
	for name, err := range map[string]error{
		"itself": asked, "wrapped": fmt.Errorf("w: %w", asked), "joined": errors.Join(io.EOF, asked),
		"three hops": cross(t, fmt.Errorf("w: %w", asked), leaf, mid, root),
	} {
		if c, ok := fault.Cancelled(err); !ok || *c != *asked {
			t.Errorf("%s: %v", name, c)
		}
	}
	for name, err := range map[string]error{
		"nil": nil, "plain": context.Canceled, "a failure": io.EOF, "nil pointer": (*fault.ContextCancelled)(nil),
	} {
		if c, ok := fault.Cancelled(err); ok || c != nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	failed := cross(t, fmt.Errorf("before Started: %w", io.ErrNoProgress), leaf)
	if got := fault.Settle(errors.Join(failed, cross(t, asked, mid)), context.Canceled); !errors.Is(got, failed) || fault.IsCancel(got) {
		t.Errorf("C17: the failure became %v", got)
	}
}

func TestN03_Join(t *testing.T) {
	if err := fault.Join(nil, nil); err != nil {
		t.Error(err)
	}
	if err := fault.Join(nil, io.EOF); err != io.EOF {
		t.Errorf("one failure is %v, want it bare", err)
	}
	err := fault.Join(io.EOF, nil, io.ErrClosedPipe)
	g, ok := err.(*fault.Group)
	if !ok || len(g.Errs) != 2 || err.Error() != "2 failures: EOF; io: read/write on closed pipe" {
		t.Errorf("%v", err)
	}
}

// TestTexts: what an error of the runtime says, in full.
func TestTexts(t *testing.T) {
	for want, err := range map[string]error{
		"cancelled by top@33333333":         &fault.ContextCancelled{Canceller: top},
		"cancelled by top@33333333: enough": &fault.ContextCancelled{Canceller: top, Reason: "enough"},
		"stream overrun: mid@22222222 has not opened a stream on this context and may not be ready to receive; its buffer of 64 messages from leaf@11111111 is full": &fault.StreamOverrun{Sender: leaf, Receiver: mid, Window: 64},
		"stream overrun: mid@22222222 receives without backpressure and fell behind leaf@11111111; its buffer of 64 messages is full":                                &fault.StreamOverrun{Sender: leaf, Receiver: mid, Window: 64, Opened: true},
		`actor mid@22222222 died (exit code 3); its last words: "b"`:                                                                                                 &fault.ActorDied{ID: mid, ExitCode: 3, LastLog: []string{"a", "b"}},
		"actor mid@22222222 died (signal killed)":                                     &fault.ActorDied{ID: mid, ExitCode: -1, Signal: "killed"},
		"actor mid@22222222 died (signal killed); it ran into its limit of memory: m": &fault.ActorDied{ID: mid, ExitCode: -1, Signal: "killed", Limit: "memory: m"},
		"link to mid@22222222 lost: EOF":                                              &fault.LinkLost{Peer: mid, Reason: "EOF"},
		// U10: the name of the actor goes ahead of what comes from it.
		`func "x" is not exposed; no endpoint is`:                                  &fault.NotExposed{Actor: mid, Endpoint: "x", Kind: "func"},
		`func "x" is not exposed; exposed: a, b`:                                   &fault.NotExposed{Actor: mid, Endpoint: "x", Kind: "func", Exposed: []string{"a", "b"}},
		`func "great" is not exposed; exposed: greet, sing; did you mean "greet"?`: &fault.NotExposed{Actor: mid, Endpoint: "great", Kind: "func", Exposed: []string{"greet", "sing"}},
		`endpoint "x" is a source, it was opened as a func`:                        &fault.NotExposed{Actor: mid, Endpoint: "x", Kind: "func", Actual: "source"},
		`endpoint "x": result does not fit: want int, got string, at field "f": d`: &fault.ContractError{Endpoint: "x", What: "result", Want: "int", Got: "string", Field: "f", Detail: "d"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestC22_DeadlineWithACauseOfItsOwn: under context.WithTimeoutCause, ctx.Err() is
// not the cause, and yet it tells no more than that ctx has ended.
func TestC22_DeadlineWithACauseOfItsOwn(t *testing.T) {
	why, broken := errors.New("the budget is spent"), errors.New("disk full")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 0, why)
	defer cancel()
	<-ctx.Done()
	far := cross(t, context.DeadlineExceeded, leaf)
	for name, err := range map[string]error{
		"ctx.Err": ctx.Err(), "wrapped": fmt.Errorf("read: %w", ctx.Err()), "remote": far, "relayed": cross(t, far, mid),
		"remote, wrapped": cross(t, fmt.Errorf("read: %w", ctx.Err()), leaf), "joined": errors.Join(far, context.Canceled),
		"with the cause": errors.Join(why, ctx.Err()),
	} {
		e := fault.EndingOf(ctx, err)
		if got := e.Failure(); got != why || !e.Echo() {
			t.Errorf("%s: the failure is %v, an echo %v; want the cause", name, got, e.Echo())
		}
		both := errors.Join(err, broken)
		e = fault.EndingOf(ctx, both)
		if got := e.Failure(); !errors.Is(got, broken) || e.Echo() {
			t.Errorf("%s beside a failure: %v loses the failure", name, got)
		}
	}
	if fault.Holds(ctx.Err(), why) || !fault.Holds(why, why) {
		t.Error("ctx.Err() holds the cause, or the cause does not")
	}
}

// TestC22_EndingsOfOtherContexts: a deadline says nothing new where one has ended the ctx.
func TestC22_EndingsOfOtherContexts(t *testing.T) {
	why := errors.New("why")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	<-late.Done()
	for name, c := range map[string]struct {
		ctx  context.Context
		want fault.Ending
	}{
		"running": {t.Context(), fault.Ending{}}, "cancelled": {cancelled, fault.Ending{Cause: why}},
		"deadline": {late, fault.Ending{Cause: context.DeadlineExceeded, Expired: true}},
	} {
		if got := fault.EndingOf(c.ctx, nil); got.Cause != c.want.Cause || got.Expired != c.want.Expired {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if fault.EndingOf(cancelled, context.DeadlineExceeded).Echo() {
		t.Error("a deadline is an echo of a cancel")
	}
}
