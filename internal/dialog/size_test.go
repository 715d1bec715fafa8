package dialog

import (
	"testing"
	"unsafe"
)

// A call is little more than its two dialogs, and an idle context than those and their flows. Go has memory
// for objects of 512 and 256 bytes; the next sizes are 576, eight bytes of which are Go's own, and 288.
func TestADialogFitsIntoItsSizeClass(t *testing.T) {
	if d, f := unsafe.Sizeof(Dialog{}), unsafe.Sizeof(flows{}); d > 512 || f > 256 {
		t.Errorf("a dialog has %d bytes, want 512 at most; its flows have %d, want 256 at most", d, f)
	}
}
