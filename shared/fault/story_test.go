package fault_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestE01_Fields(t *testing.T) {
	e := remote(t, cross(t, fmt.Errorf("read config: %w", fs.ErrNotExist), leaf, mid, top))
	if e.Type != "*fmt.wrapError" || e.Message != "read config: file does not exist" || e.Stack != "" {
		t.Errorf("%q %q %q", e.Type, e.Message, e.Stack)
	}
	if e.Origin != leaf {
		t.Errorf("origin %+v, want %+v", e.Origin, leaf)
	}
	if fmt.Sprint(e.Relays) != fmt.Sprint([]actor.ID{mid, top}) || e.Relays[0].PID != mid.PID {
		t.Errorf("relays %+v", e.Relays)
	}
	causes := e.Unwrap()
	if len(causes) != 1 || remote(t, causes[0]).Type != "*errors.errorString" {
		t.Errorf("causes %v", causes)
	}
}

func TestE01_PanicKeepsItsStack(t *testing.T) {
	err := panics.Catch(func() error { panicking(); return nil })
	e := remote(t, cross(t, err, leaf, mid))
	if e.Message != "panic: it broke" || !strings.Contains(e.Stack, "fault_test.panicking") {
		t.Errorf("%q, stack:\n%s", e.Message, e.Stack)
	}
	p, ok := errors.AsType[*fault.PanicError](error(e))
	if !ok || p.Value != "it broke" || p.Stack != e.Stack {
		t.Errorf("errors.As: %+v", p)
	}
}

func panicking() { panic("it broke") }

// Texts that linters do not want in errors, and that come all the same.
const (
	lines   = "a\nb\r\n\nc\n"
	newline = "\n"
)

func TestE01_ErrorIsOneLine(t *testing.T) {
	for name, err := range map[string]error{
		"joined":       errors.Join(errors.New("a"), errors.New("b")),
		"newlines":     errors.New(lines),
		"rare ones":    errors.New("a\vb\fc\u0085d\u2028e\u2029f"),
		"group":        fault.Join(errors.New("a\nb"), errors.New("c")),
		"empty":        errors.New(""),
		"only newline": errors.New(newline),
	} {
		t.Run(name, func(t *testing.T) {
			far := cross(t, err, actor.ID{Name: "le\naf", UUID: leaf.UUID}, mid)
			for _, text := range []string{far.Error(), fmt.Sprint(far), fmt.Sprintf("%s", far)} {
				if strings.ContainsAny(text, "\n\r\v\f\u0085\u2028\u2029") {
					t.Errorf("%q", text)
				}
			}
		})
	}
	got := cross(t, errors.New(lines), leaf).Error()
	if want := "leaf@11111111: a; b; c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestE01_Verbs(t *testing.T) {
	err := cross(t, errors.New(`say "x"`), leaf)
	const line = `leaf@11111111: say "x"`
	for format, want := range map[string]string{
		"%v": line, "%s": line, "%d": line, "%q": `"leaf@11111111: say \"x\""`,
	} {
		if got := fmt.Sprintf(format, err); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

// TestE01_Story is the whole story, hop by hop: a failure with its clean-up, a
// group, a panic, a wrapper in the middle.
func TestE01_Story(t *testing.T) {
	missing := cross(t, fmt.Errorf("open list: %w", fs.ErrNotExist), leaf)
	panicked := cross(t, &fault.PanicError{Value: "index out of range", Stack: "goroutine 1:\nmain.f()\n"}, leaf, mid)
	group := cross(t, fault.Join(missing, panicked, errors.New("two\nlines")), mid)
	settled := fault.Settle(errors.Join(group, errors.New("close: disk full")), group)
	err := cross(t, settled, top)
	const want = `*fault.Group: 3 failures: leaf@11111111: open list: file does not exist; leaf@11111111: panic: index out of range; two
  lines
  arose in mid@22222222 (pid 102)
  relayed by top@33333333 (pid 103)
  caused by
    *fmt.wrapError: open list: file does not exist
      arose in leaf@11111111 (pid 101)
      relayed by mid@22222222 (pid 102)
      caused by
        *errors.errorString: file does not exist
          arose in leaf@11111111 (pid 101)
  caused by
    *fault.PanicError: panic: index out of range
      arose in leaf@11111111 (pid 101)
      relayed by mid@22222222 (pid 102)
      stack:
        goroutine 1:
        main.f()
  caused by
    *errors.errorString: two
      lines
      arose in mid@22222222 (pid 102)
  and while cleaning up
    *errors.errorString: close: disk full
      arose in top@33333333 (pid 103)`
	if got := fmt.Sprintf("%+v", err); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestE01_HandMadeRemoteError(t *testing.T) {
	e := &fault.RemoteError{Type: "py.ValueError", Message: "bad", Origin: leaf, Relays: []actor.ID{mid}}
	if e.Error() != "leaf@11111111: bad" || e.ID() != "" || e.Unwrap() != nil {
		t.Errorf("%q %q %v", e.Error(), e.ID(), e.Unwrap())
	}
	if story := fmt.Sprintf("%+v", e); !strings.HasPrefix(story, "py.ValueError: bad\n") {
		t.Error(story)
	}
	far := remote(t, cross(t, e, top))
	if far.Type != e.Type || far.Origin != leaf || fmt.Sprint(far.Relays) != fmt.Sprint([]actor.ID{mid, top}) {
		t.Errorf("%+v", far)
	}
	if fault.IsCancel(e) || !fault.Echoes(e, e) {
		t.Error("it is not a cancel, and it is itself")
	}
}
