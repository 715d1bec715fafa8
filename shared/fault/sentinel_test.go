package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var errOwn = errors.New("out of tea")

// quota is a registered type with fields of many kinds.
type quota struct {
	Used, Limit int64
	Who         string            `json:"who,omitempty"`
	At          time.Time         `json:"at"`
	Wait        time.Duration     `json:"wait"`
	Raw         []byte            `json:"raw"`
	Tags        map[string]string `json:"tags"`
	Parent      *actor.ID         `json:"parent"`
}

func (q *quota) Error() string { return fmt.Sprintf("%s used %d of %d", q.Who, q.Used, q.Limit) }

func init() {
	fault.Sentinel("test.OutOfTea", errOwn)
	fault.Type[quota]("test.Quota")
}

// sentinels are those that a rule or this package names.
var sentinels = map[string]error{
	"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
	"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "io.ErrClosedPipe": io.ErrClosedPipe,
	"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrExist": fs.ErrExist, "fs.ErrPermission": fs.ErrPermission,
	"fs.ErrInvalid": fs.ErrInvalid, "fs.ErrClosed": fs.ErrClosed,
	"os.ErrDeadlineExceeded": os.ErrDeadlineExceeded, "errors.ErrUnsupported": errors.ErrUnsupported,
	"NotExposed": fault.ErrNotExposed, "NotStarted": fault.ErrNotStarted, "NeverStarted": fault.ErrNeverStarted,
	"StartedTwice": fault.ErrStartedTwice, "StreamClosed": fault.ErrStreamClosed,
	"MessageTooLarge": fault.ErrMessageTooLarge, "NurseryClosed": fault.ErrNurseryClosed,
	"CancelUnacked": fault.ErrCancelUnacked, "ActorTooSlow": fault.ErrActorTooSlow,
	"ActorClosing": fault.ErrActorClosing, "Overloaded": fault.ErrOverloaded, "NotAllowed": fault.ErrNotAllowed, "Protocol": fault.ErrProtocol,
	"registered": errOwn,
}

func TestE02_Sentinels(t *testing.T) {
	for name, sentinel := range sentinels {
		for way, path := range hops {
			t.Run(name+"/"+way, func(t *testing.T) {
				for _, err := range []error{sentinel, fmt.Errorf("while working: %w", sentinel), errors.Join(errors.New("x"), sentinel)} {
					far := cross(t, err, path...)
					for other, s := range sentinels {
						if got, want := errors.Is(far, s), s == sentinel; got != want {
							t.Errorf("errors.Is(%v, %s) = %v", err, other, got)
						}
					}
				}
			})
		}
	}
}

// claim is an error that says itself what it is.
type claim func(target error) bool

func (claim) Error() string          { return "a claim" }
func (c claim) Is(target error) bool { return c(target) }

// TestE02_ErrorsThatSayWhatTheyAre: most errors of the standard library are no
// sentinels, but say with an Is method which one they stand for.
func TestE02_ErrorsThatSayWhatTheyAre(t *testing.T) {
	_, missing := os.Open(filepath.Join(t.TempDir(), "missing"))
	for name, c := range map[string]struct{ err, want error }{
		"a missing file":     {missing, fs.ErrNotExist},
		"a directory's twin": {os.Mkdir(t.TempDir(), 0o700), fs.ErrExist},
		"errno":              {fmt.Errorf("while working: %w", syscall.EACCES), fs.ErrPermission},
		"a signal":           {interrupt("interrupt signal received"), context.Canceled},
		"a dial, cancelled":  {dial(context.Canceled), context.Canceled},
		"a dial too slow":    {dial(context.DeadlineExceeded), context.DeadlineExceeded},
		"a claim":            {claim(func(target error) bool { return target == errOwn }), errOwn},
		"nonsense":           {claim(func(error) bool { panic("no idea") }), nil},
		"nothing":            {claim(func(error) bool { return false }), nil},
	} {
		for way, path := range hops {
			t.Run(name+"/"+way, func(t *testing.T) {
				far := remote(t, cross(t, c.err, path...))
				if text, _, _ := strings.Cut(c.err.Error(), ": "); !strings.HasPrefix(far.Message, text) {
					t.Errorf("the text is %q, was %q", far.Message, c.err)
				}
				for other, s := range sentinels {
					if got, want := errors.Is(far, s), s == c.want; got != want {
						t.Errorf("errors.Is(%v, %s) = %v", c.err, other, got)
					}
				}
			})
		}
	}
}

func TestE02_RegisteredStructKeepsItsFields(t *testing.T) {
	want := &quota{
		Used: 11, Limit: 10, Who: "ada", At: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC),
		Wait: 90 * time.Second, Raw: []byte{0, 255}, Tags: map[string]string{"a": "b"}, Parent: &mid,
	}
	for way, path := range hops {
		t.Run(way, func(t *testing.T) {
			far := cross(t, fmt.Errorf("request: %w", want), path...)
			got, ok := errors.AsType[*quota](far)
			if !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestE02_RuntimeTypes(t *testing.T) {
	for _, want := range []error{
		&fault.ContextCancelled{Canceller: top, Reason: "enough"},
		&fault.StreamOverrun{Sender: leaf, Receiver: mid, Window: 64, Opened: true},
		&fault.ActorDied{ID: mid, ExitCode: -1, Signal: "killed", Limit: "cpu: c", LastLog: []string{"a", "b\xff"}},
		&fault.LinkLost{Peer: mid, Reason: "EOF"},
		&fault.NotExposed{Actor: mid, Endpoint: "x", Kind: "func", Actual: "source", Exposed: []string{"a"}},
		&fault.ContractError{Endpoint: "x", What: "result", Want: "int", Got: "string", Field: "f", Detail: "d"},
		&fault.PanicError{Value: "\xff"},
	} {
		far := cross(t, want, leaf, mid, top)
		found := reflect.New(reflect.TypeOf(want))
		if !errors.As(far, found.Interface()) || !reflect.DeepEqual(found.Elem().Interface(), want) {
			t.Errorf("%T: got %+v, want %+v; %+v", want, found.Elem().Interface(), want, far)
		}
	}
	if !errors.Is(cross(t, &fault.ContextCancelled{Canceller: top}, leaf), context.Canceled) {
		t.Error("ContextCancelled is context.Canceled")
	}
	if !errors.Is(cross(t, &fault.NotExposed{}, leaf), fault.ErrNotExposed) {
		t.Error("NotExposed is ErrNotExposed")
	}
}

func TestE02_StatusCodes(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		for way, path := range hops {
			for form, err := range map[string]error{
				"itself": status.Error(code, "no"), "wrapped": fmt.Errorf("call: %w", status.Error(code, "no")),
				"joined": errors.Join(errors.New("x"), status.Error(code, "no")),
			} {
				far := cross(t, err, path...)
				if got := status.Code(far); got != code {
					t.Errorf("%s, %s, %v: status.Code is %v", way, form, code, got)
				}
				outer := fmt.Errorf("here: %w", far)
				s, ok := status.FromError(outer)
				if !ok || s.Code() != code {
					t.Errorf("%s, %s, %v: status.FromError is %v, %v", way, form, code, s, ok)
				}
				if as, ok := errors.AsType[interface {
					error
					GRPCStatus() *status.Status
				}](outer); !ok || as.GRPCStatus().Code() != code {
					t.Errorf("%s, %s, %v: errors.As", way, form, code)
				}
			}
		}
	}
	if got := status.Code(cross(t, errors.New("x"), leaf)); got != codes.Unknown {
		t.Errorf("no status: %v", got)
	}
}

func TestE02_StatusCodeOfAPeerIsNeverOK(t *testing.T) {
	for _, code := range []uint32{1, 18, 19, 1 << 31, 1<<32 - 1} {
		err := fault.Unpack(alone(&wire.Node{Message: "x", Code: code}))
		if got := status.Code(err); got != codes.Unknown {
			t.Errorf("code %d on the wire: %v", code, got)
		}
	}
}

type stranger struct{ n int }

func (s *stranger) Error() string { return fmt.Sprint("strange ", s.n) }

func TestE02_UnregisteredKeepsTypeAndText(t *testing.T) {
	far := cross(t, &stranger{7}, leaf, mid, top)
	e := remote(t, far)
	if e.Type != "*fault_test.stranger" || e.Message != "strange 7" || e.Unwrap() != nil {
		t.Errorf("%+v", e)
	}
	if _, ok := errors.AsType[*stranger](far); ok {
		t.Error("errors.As finds a type that nobody registered")
	}
}

func TestE02_RegistrationIsChecked(t *testing.T) {
	var list uncomparable
	for name, register := range map[string]func(){
		"sentinel's name taken": func() { fault.Sentinel("io.EOF", errOwn) },
		"type's name taken":     func() { fault.Type[stranger]("trellis.ActorDied") },
		"empty":                 func() { fault.Sentinel("", errors.New("x")) },
		"empty type":            func() { fault.Type[stranger]("") },
		"no UTF-8":              func() { fault.Sentinel("\xff", errors.New("x")) },
		"nil":                   func() { fault.Sentinel("test.Nil", nil) },
		"not comparable":        func() { fault.Sentinel("test.List", list) },
		"no struct":             func() { fault.Type[number]("test.Number") },
	} {
		if panics.Catch(func() error { register(); return nil }) == nil {
			t.Errorf("%s: registered", name)
		}
	}
	fault.Sentinel("io.EOF", io.EOF) // again is fine
	fault.Type[quota]("test.Quota")
}

type number int

func (*number) Error() string { return "number" }

type uncomparable []string

func (u uncomparable) Error() string { return fmt.Sprint("list ", []string(u)) }
