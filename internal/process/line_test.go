package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestSplitter(t *testing.T) {
	for _, step := range []int{1, 2, 3, 100} {
		var got []string
		s := &splitter{limit: 4}
		s.emit = func(text []byte, part Part) {
			got = append(got, fmt.Sprintf("%s %v", text, part))
		}
		in := []byte("ab\n\nabcd\nabcde\nabcdefghi\nabcé\nab€\nééé\nx")
		for len(in) > 0 {
			n := min(step, len(in))
			s.write(in[:n])
			in = in[n:]
		}
		s.end()
		want := "ab whole|" + " whole|" + "abcd whole|" + "abcd head|e tail|abcd head|efgh middle|i tail|" +
			"abc head|é tail|ab head|€ tail|éé head|é tail|x whole"
		if strings.Join(got, "|") != want {
			t.Errorf("step %d: %q", step, got)
		}
	}
}

// A line that never ends is known to have been one line, even if nothing is left of it.
func TestSplitterEndsACutLine(t *testing.T) {
	var got []string
	s := &splitter{limit: 4, emit: func(text []byte, part Part) { got = append(got, fmt.Sprintf("%s %v", text, part)) }}
	s.write([]byte("abcdefgh"))
	s.end()
	if want := "abcd head|efgh tail"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

func TestWholeCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "aé": "aé", "a\xc3": "a", "a€": "a€", "a\xe2\x82": "a", "a😀": "a😀", "a\xf0\x9f\x98": "a",
		"\xff": "\xff", "a\xff": "a\xff", "\x80\x80\x80\x80": "\x80\x80\x80\x80", "\xe2": "\xe2",
	} {
		if got := string(wholeCharacters([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFeed(t *testing.T) {
	f := newFeed()
	f.offer("hello")
	f.offer("late")
	var b [3]byte
	n, _ := f.Read(b[:])
	m, _ := f.Read(b[n:])
	if n != 3 || m != 0 {
		t.Error(n, m)
	}
	if n, err := f.Read(b[:]); n != 2 || err != nil || !bytes.Equal(b[:2], []byte("lo")) {
		t.Error(n, err)
	}
	for range 2 {
		if n, err := f.Read(b[:]); n != 0 || !errors.Is(err, io.EOF) {
			t.Error(n, err)
		}
	}
	blocked := newFeed()
	time.AfterFunc(time.Millisecond, func() { _ = blocked.Close() })
	if _, err := blocked.Read(b[:]); !errors.Is(err, io.ErrClosedPipe) {
		t.Error("Read of a closed feed:", err)
	}
}
