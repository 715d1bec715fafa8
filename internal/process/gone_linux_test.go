package process

import (
	"os"
	"testing"
)

// N16: the id of a process that is reaped may be somebody else's by now, whose numbers are not its own.
func TestN16_AProcessThatIsGoneUsesNothing(t *testing.T) {
	p := New(Spec{Path: "gone"}, nil)
	p.lk.state, p.lk.pid = Ended, os.Getpid()
	if l := p.Load(); l != (Load{}) {
		t.Errorf("N16: %+v", l)
	}
	if v := p.Vitals(); v != (Vitals{}) {
		t.Errorf("N16: %+v", v)
	}
}
