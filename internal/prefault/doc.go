// Package prefault makes a program start faster by making its memory present, before the packages
// of the program are initialised:
//
//	import "github.com/seed-2ba35074/trellis/internal/prefault" // its init does it
//	prefault.Heap()                                             // once more, for main
//
// The kernel maps a program page by page, when each is used for the first time. Until a plugin is
// ready it uses most pages of code and data that it will ever use, and some hundred pages of heap, and
// each costs an exception, which on a virtual machine may take 20 µs and more. Asked for all of
// them at once, the kernel needs a tenth of that. Nothing is read from the disk that would not be
// needed a moment later, and pages of code are shared with all processes of the same program.
//
// It imports nothing but syscall, because of the order in which Go initialises packages: of those
// whose imports are initialised, the first one by its path. So it comes before nearly all others.
//
// On Linux before 5.14 and on other systems it does nothing.
package prefault
