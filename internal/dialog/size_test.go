package dialog

import (
	"testing"
	"unsafe"
)

// An idle context is little more than its two dialogs. Go takes 768 bytes for one, eight of them
// its own, and 896 as soon as it is larger.
func TestADialogFitsIntoItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Dialog{}); size > 760 {
		t.Errorf("a dialog has %d bytes, want 760 at most", size)
	}
}
