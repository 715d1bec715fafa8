package process

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSplitter(t *testing.T) {
	for _, step := range []int{1, 2, 3, 100} {
		var got []string
		s := &splitter{limit: 4}
		s.emit = func(text []byte, continued bool) {
			got = append(got, fmt.Sprintf("%s%v", text, continued))
		}
		in := []byte("ab\n\nabcd\nabcde\nabcdefghi\nx")
		for len(in) > 0 {
			n := min(step, len(in))
			s.write(in[:n])
			in = in[n:]
		}
		s.end()
		want := "abfalse|false|abcdfalse|abcdtrue|efalse|abcdtrue|efghtrue|ifalse|xfalse"
		if strings.Join(got, "|") != want {
			t.Errorf("step %d: %q", step, got)
		}
	}
}

func TestFeed(t *testing.T) {
	end := make(chan struct{})
	f := newFeed(end)
	f.offer([]byte("hello"))
	f.offer([]byte("late"))
	var b [3]byte
	n, _ := f.Read(b[:])
	m, _ := f.Read(b[n:])
	if n != 3 || m != 0 {
		t.Error(n, m)
	}
	if n, err := f.Read(b[:]); n != 2 || err != nil || !bytes.Equal(b[:2], []byte("lo")) {
		t.Error(n, err)
	}
	close(end)
	if n, err := f.Read(b[:]); n != 0 || err == nil {
		t.Error(n, err)
	}
	blocked := newFeed(make(chan struct{}))
	time.AfterFunc(time.Millisecond, func() { _ = blocked.Close() })
	if _, err := blocked.Read(b[:]); err == nil {
		t.Error("Read of a closed feed")
	}
}
