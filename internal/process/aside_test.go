package process

import (
	"fmt"
	"strings"
	"testing"
)

func TestF04_AsideLines(t *testing.T) {
	var got []string
	log := func(l Line) { got = append(got, fmt.Sprintf("%s %d %v", l.Stream, len(l.Text), l.Part)) }
	p := &Process{spec: Spec{Log: log}, log: newLog(log)}
	out := p.Aside(Stdout)
	for _, text := range []string{"one", "\ntwo\n", strings.Repeat("x", maxLine+1) + "\n", "unfinished"} {
		if n, err := out.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	p.log.Close()
	<-p.Flushed()
	if n, err := out.Write([]byte(" and late\n")); n != 10 || err != nil {
		t.Errorf("a late Write = %d, %v", n, err)
	}
	want := []string{"stdout 3 whole", "stdout 3 whole", fmt.Sprintf("stdout %d head", maxLine), "stdout 1 tail"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestF04_AsideOfAProcessThatNeverLoggedIsSafe(t *testing.T) {
	log := func(Line) { t.Error("a line came after the end") }
	p := &Process{spec: Spec{Log: log}, log: newLog(log)}
	p.log.Close()
	if _, err := p.Aside(Stderr).Write([]byte("late\n")); err != nil {
		t.Error(err)
	}
	<-p.Flushed()
}
