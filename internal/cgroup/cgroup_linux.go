package cgroup

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func isCgroup2(dir string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(dir, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// Attach makes the child be born in the cgroup.
func (g *Group) Attach(attr *os.ProcAttr) {
	if g != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(g.main.Fd())
	}
}

// Detach undoes Attach.
func (*Group) Detach(attr *os.ProcAttr) { attr.Sys.UseCgroupFD = false }

// awaitChange returns when the file changes, which the kernel reports as an exceptional condition.
func awaitChange(file *os.File, left time.Duration) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
}
