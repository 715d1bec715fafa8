package prefault

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

const maps = `00400000-00a4f000 r-xp 00000000 fe:00 1234                       /bin/a plugin
00a4f000-011a0000 r--p 0064f000 fe:00 1234                       /bin/a plugin
011a0000-01216000 rw-p 00da0000 fe:00 1234                       /bin/a plugin
01216000-0325b000 rw-p 00000000 00:00 0
7f1447215000-7f1447225000 r-xp 00000000 fe:00 99                 /lib/libc.so.6
7ffd3b1d8000-7ffd3b1f9000 rw-p 00000000 00:00 0                  [stack]
`

var program = []mapping{{0x400000, 0xa4f000}, {0xa4f000, 0x11a0000}, {0x11a0000, 0x1216000}}

func TestParse(t *testing.T) {
	const heap = "c000000000-c000400000 rw-p 00000000 00:00 0\n"
	for name, of := range map[string]struct {
		list string
		want []mapping
	}{
		"nothing":            {"", nil},
		"the program first":  {maps, program},
		"the heap before it": {heap + maps, program},
		"cut off":            {maps[:100], program[:1]},
		"no lines":           {"-", nil},
	} {
		if got := parse([]byte(of.list)); !slices.Equal(got, of.want) {
			t.Errorf("%s: %#v, expected %#v", name, got, of.want)
		}
	}
}

var initialised = [1 << 13]byte{1}

// The lists of this kernel are as expected: what is found has this program's code and variables.
func TestThisProgramIsFound(t *testing.T) {
	found := parse(list[:read("/proc/self/maps", list[:])])
	for _, address := range []uintptr{
		reflect.ValueOf(TestThisProgramIsFound).Pointer(),
		uintptr(unsafe.Pointer(&initialised[len(initialised)/2])),
	} {
		if !slices.ContainsFunc(found, func(m mapping) bool { return m.begin <= address && address < m.end }) {
			t.Errorf("nothing of %#v has %#x", found, address)
		}
	}
}
