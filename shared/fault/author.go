package fault

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// The methods of an author's error are called here and nowhere else. A failure in one must not
// become another failure of the task whose error is packed, so a panic is an answer like any
// other: [try] gives what stands for it.

// try is what f returns, or what otherwise makes of its panic.
func try[T any](f func() T, otherwise func(panicked any) T) (v T) {
	defer func() {
		if p := recover(); p != nil {
			v = otherwise(p)
		}
	}()
	return f()
}

// none stands for a panic by nothing.
func none[T any](any) (zero T) { return zero }

func failed(panicked any) error { return fmt.Errorf("panic: %v", panicked) }

// text is err.Error() that cannot fail and is valid UTF-8: protobuf refuses to encode a string
// which is not, and would refuse the whole message with it.
func text(err error) string {
	return strings.ToValidUTF8(try(err.Error, func(p any) string {
		return fmt.Sprintf("%T whose Error method panicked: %v", err, p)
	}), "\uFFFD")
}

// unwrap returns what err wraps directly, whichever form it has, without nils. A list is copied,
// since the nils are taken out of it and its owner may have kept it.
func unwrap(err error) []error {
	return try(func() []error {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			return notNil(e.Unwrap())
		case interface{ Unwrap() []error }:
			return notNil(e.Unwrap()...)
		}
		return nil
	}, none)
}

// notNil is a list of the errors that are not nil.
func notNil(errs ...error) []error {
	return slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
}

// claims reports whether err, though it is another value and wraps nothing, says
// that it is target.
func claims(err, target error) bool {
	return judges(err) && target != nil && try(func() bool { return err.(interface{ Is(target error) bool }).Is(target) }, none)
}

// judges reports whether err has something to say about what it is. An error that wraps another
// one is known by that, which has a node of its own; and a remote error, whose Is would go by
// what it stands for here, was named where it arose.
func judges(err error) bool {
	if _, remote := err.(*RemoteError); remote || err == nil {
		return false
	}
	_, ok := err.(interface{ Is(target error) bool })
	return ok && len(unwrap(err)) == 0
}

// identical is err == cause that does not panic on types that cannot be compared, such as a
// struct with a slice in it that is used by value. Two of these are never the same error.
func identical(err, cause error) bool { return try(func() bool { return err == cause }, none) }

// statusCode is the code of a gRPC status plus one, as it stands in a node, where 0 is none. The
// code OK in an error is a mistake of its author, and is not sent.
func statusCode(s interface{ GRPCStatus() *status.Status }) uint32 {
	if st := try(s.GRPCStatus, none); st != nil && st.Code() != codes.OK {
		return uint32(st.Code()) + 1
	}
	return 0
}

// marshal encodes a typed error's fields, as a payload is encoded. The result is a copy, since
// the scratch buffer goes back to a pool that other goroutines take from.
func marshal(v any) ([]byte, error) {
	to := wire.NewScratch()
	defer to.Free()
	err := try(func() error { return codecs.CBOR.Marshal(to, v, nil) }, failed)
	return bytes.Clone(to.Bytes()), err
}

// unmarshal reads a typed error's fields into v, a pointer to a new value of the registered
// type. The data is the peer's, and the type may decode itself; so neither a bad encoding nor a
// panic does more than leave the error without its local form (see [revive]).
func unmarshal(data []byte, v any) error {
	return try(func() error { return codecs.CBOR.Unmarshal(data, v) }, failed)
}
