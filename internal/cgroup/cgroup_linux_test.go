package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFindCgroup(t *testing.T) {
	const v1 = "25 24 0:21 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n"
	for name, c := range map[string]struct{ cgroups, mounts, want string }{
		"v2 alone":       {"0::/user.slice/a.scope\n", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 none rw\n", "/sys/fs/cgroup/user.slice/a.scope"},
		"hybrid":         {"4:memory:/x\n0::/\n", v1 + "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n", "/sys/fs/cgroup/unified"},
		"part of it":     {"0::/docker/abc/sub\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/sub"},
		"another part":   {"0::/other\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
		"like its name":  {"0::/docker/abcd\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
		"second mount":   {"0::/a\n", "30 24 0:26 /b /b rw - cgroup2 cgroup rw\n31 24 0:26 / /c\\040d rw - cgroup2 cgroup rw\n", "/c d/a"},
		"v1 alone":       {"4:memory:/x\n", v1, ""},
		"nothing":        {"", "", ""},
		"out of its own": {"0::/../x\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findCgroup(c.cgroups, c.mounts)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// A group whose folder cannot be opened, for want of descriptors, leaves nothing: removing
// it takes none.
func TestAGroupWithoutADescriptorLeavesNothing(t *testing.T) {
	home := t.TempDir()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := New(home)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("a group was made without a descriptor: %v", err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestStuckCgroupIsReported(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.events"), []byte("populated 1\nfrozen 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := awaitEmpty(dir, time.Now().Add(time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "still has processes") {
		t.Error(err)
	}
}
