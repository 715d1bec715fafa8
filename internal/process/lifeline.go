package process

// The lifeline is a pipe. Its write end is held by the host alone, from before
// the fork until the child is reaped, and nothing is ever written into it; its
// read end is the child's descriptor 3. Whatever ends the host, kill -9
// included, closes the write end. Who then kills the child's group:
//
//   - On Linux the kernel itself, at once: the host asks it to send SIGKILL to
//     the child's process group when anything happens on the read end
//     (O_ASYNC, F_SETSIG, F_SETOWN). It needs nothing of the child, not even
//     that it can run, and so also protects from programs that do not know us
//     and from what they leave behind when they die. (A byte written into the
//     pipe would be something happening, too.)
//   - Everywhere, the child, if it called HoldLifeline: it sees the end of the
//     pipe and kills its own group. This is what there is on other systems.
//   - On Linux, before the request above is made, which takes a group that
//     exists and so comes right after the exec: the parent-death signal. It
//     kills the leader only, so a program that has HoldLifeline turns it off:
//     leader and group end together.
//
// The kernel's request belongs to an open read end and is gone with it. The
// child's may be closed before the host's write end, as the death of the host's
// forking thread kills the child while the host is still closing. So the host
// has a read end of its own, the sentinel. It dies with the host, but later
// than the write end: an ending process drops its descriptors from the lowest
// number up, and the kernel closes what was dropped in the reverse order. If a
// kernel does otherwise, the child's read end is left.
//
// What remains: a program without HoldLifeline that forks in the first fraction
// of a millisecond after its exec, while the host is killed at that very
// moment. Its leader dies, what it forked lives.
//
// Each process has lifelines of its own to its children; a tree of processes
// ends level by level.

// lifelineFD is the child's number for the read end.
const lifelineFD = 3
