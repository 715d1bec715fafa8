package shm

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controls are what the two ends tell each other about one direction: shared memory, in which
// nothing can be relied on. Each word is written by one end only, but for those of who sleeps.
type controls struct {
	tail   atomic.Uint64 // by the writer: bytes that it has put
	asides atomic.Uint64 // by the writer: records that it has sent aside
	_      [48]byte
	head   atomic.Uint64 // by the reader: bytes that it has taken
	_      [56]byte
	reader bed // where the reader sleeps
	_      [60]byte
	writer bed // where the writer sleeps
	_      [60]byte
}

// The layout of the memory, in bytes. The page of controls is one of its own, so that the rings can
// be given back without it.
const (
	secondControls = 512
	ringsBegin     = 4096
	// Bytes is the size of the whole memory.
	Bytes = ringsBegin + 2*Size
)

// seals are what makes every access to the memory safe: nobody can take pages away from its end.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// memory is the shared memory as this process sees it. It belongs to a [Conn], which unmaps it when
// nobody uses it any more. Only the pages that have been written to exist.
type memory struct {
	all   []byte
	ctl   [2]*controls // of the direction from the end that offered, and of the one back
	rings [2][]byte
}

// newMemory makes a memory, and returns the descriptor as well, which is the caller's.
func newMemory() (m *memory, fd int, err error) {
	fd, err = unix.MemfdCreate("trellis", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, -1, fmt.Errorf("memfd_create: %w", err)
	}
	if m, err = sealed(fd); err != nil {
		_ = unix.Close(fd) // err says what is wrong
		return nil, -1, err
	}
	return m, fd, nil
}

// sealed gives a new file in memory its size for ever, and maps it.
func sealed(fd int) (*memory, error) {
	if err := unix.Ftruncate(fd, Bytes); err != nil {
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("sealing the memory: %w", err)
	}
	return mapMemory(fd)
}

// openMemory maps a memory that a peer has made, if it is one on which this end can rely.
func openMemory(fd int) (*memory, error) {
	switch got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); {
	case err != nil:
		return nil, fmt.Errorf("the descriptor is not one of sealed memory: %w", err)
	case got&seals != seals:
		return nil, fmt.Errorf("the memory has the seals %#x, expected %#x", got, seals)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	if stat.Size != Bytes {
		return nil, fmt.Errorf("the memory has %d bytes, expected %d", stat.Size, Bytes)
	}
	return mapMemory(fd)
}

func mapMemory(fd int) (*memory, error) {
	all, err := unix.Mmap(fd, 0, Bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return memoryIn(all), nil
}

func memoryIn(all []byte) *memory {
	return &memory{
		all:   all,
		ctl:   [2]*controls{(*controls)(unsafe.Pointer(&all[0])), (*controls)(unsafe.Pointer(&all[secondControls]))}, //nolint:gosec // words of a page that is there
		rings: [2][]byte{all[ringsBegin : ringsBegin+Size], all[ringsBegin+Size:]},
	}
}

func (m *memory) unmap() { _ = unix.Munmap(m.all) } // which fails only for what is not mapped

// giveBack frees the pages of a ring, which read as zeros from then on, at both ends.
func giveBack(ring []byte) { _ = unix.Madvise(ring, unix.MADV_REMOVE) } // if it fails, they stay
