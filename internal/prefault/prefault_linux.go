package prefault

import (
	"syscall"
	"unsafe"
)

// The advices of madvise since Linux 5.14. Older kernels refuse them, and nothing is done.
const (
	populateRead  = 22
	populateWrite = 23
)

const (
	// heapAround is how much of the heap is made present at a time, in bytes: a quarter of it below
	// the memory that is given out now, where gaps are left to be filled, and the rest above. A
	// plugin has used more when it is ready.
	heapAround = 2 << 20
	// heapStep is what the heap grows by. It begins anywhere within the first step, so that Heap may
	// have little to do at first.
	heapStep = 4 << 20
)

// list is the head of the list of mappings, where the program is. It is not on the stack, which
// would have to grow for it.
var list [4 << 10]byte

// Data that is written gets pages of its own only then: most of it never is.
func init() {
	for _, m := range parse(list[:read("/proc/self/maps", list[:])]) {
		advise(m.begin, m.end-m.begin, populateRead)
	}
	Heap()
}

// Heap makes the memory present that the heap will use next. The kernel leaves out what is above
// its end.
func Heap() {
	here := uintptr(unsafe.Pointer(new(page))) &^ (unsafe.Sizeof(page{}) - 1) //nolint:gosec // an address, and never a pointer again
	advise(max(here-heapAround/4, here&^(heapStep-1)), heapAround, populateWrite)
}

type page [4 << 10]byte

func advise(begin, length uintptr, advice int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, begin, length, uintptr(advice)) // it is only advice
}

// read reads the beginning of a file, without package os, which is not initialised yet.
func read(name string, into []byte) int {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	n, _ := syscall.Read(fd, into)
	_ = syscall.Close(fd) // it was only read
	return max(n, 0)
}

// mapping is a part of the program's file in memory.
type mapping struct{ begin, end uintptr }

// parse takes the program's mappings out of a list of all. A line is
//
//	00400000-00a4f000 r-xp 00000000 fe:00 1234    /bin/plugin
//
// and the first file that is named is the program. Lines without a file are left out, such as
// that of the heap, and one that is cut off.
func parse(list []byte) (program []mapping) {
	name := ""
	for {
		line, rest, whole := cut(list, '\n')
		if !whole {
			return program
		}
		list = rest
		begin, line, _ := cut(line, '-')
		end, line, _ := cut(line, ' ')
		_, path, named := cut(line, '/')
		if name == "" {
			name = string(path)
		}
		if named && string(path) == name {
			program = append(program, mapping{hex(begin), hex(end)})
		}
	}
}

// cut is bytes.Cut, whose package is not initialised yet.
func cut(text []byte, at byte) (before, after []byte, found bool) {
	for i, c := range text {
		if c == at {
			return text[:i], text[i+1:], true
		}
	}
	return text, nil, false
}

// hex reads what the kernel writes: digits and small letters.
func hex(text []byte) (n uintptr) {
	for _, c := range text {
		digit := c - '0'
		if c >= 'a' {
			digit = c - 'a' + 10
		}
		n = n<<4 | uintptr(digit)
	}
	return n
}
