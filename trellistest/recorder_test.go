package trellistest_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is a test inside a test, which may fail.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	problems []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return "Recorded" }
func (r *recorder) Context() context.Context { return context.Background() }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *recorder) Output() io.Writer { return io.Discard }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Failed() bool { return len(r.problems) > 0 }

// record runs a test and its cleanups, and gives what it has reported.
func record(f func(t testing.TB)) []string { return recordWith(&recorder{}, f) }

// recordWith is record for a test that has more of one.
func recordWith(r *recorder, f func(t testing.TB)) []string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
	return r.problems
}

// wantOne fails unless there is one problem that has all of the words.
func wantOne(t *testing.T, problems []string, words ...string) {
	t.Helper()
	if len(problems) != 1 {
		t.Fatalf("%d problems, want one with %q:\n%s", len(problems), words, strings.Join(problems, "\n"))
	}
	for _, w := range words {
		if !strings.Contains(problems[0], w) {
			t.Errorf("there is no %q in:\n%s", w, problems[0])
		}
	}
}

// wantNone fails if there is a problem.
func wantNone(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Errorf("a problem, where none was expected: %s", p)
	}
}
