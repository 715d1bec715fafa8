package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long killed processes may take to be gone. Only those
// that are stuck inside the kernel take longer; their cgroup is left to the next
// sweep.
const patience = time.Second

// Base finds the cgroup below which this program may make its own.
func Base() (string, error) {
	if runtime.GOOS != "linux" {
		return "", errors.New("only Linux has cgroups")
	}
	switch base := os.Getenv(Variable); base {
	case "":
		return ownCgroup()
	case "off":
		return "", errOff
	default:
		if !isCgroup2(base) {
			return "", fmt.Errorf("%s: expected a directory of cgroup v2 or off, got %q", Variable, base)
		}
		return base, nil
	}
}

// ownCgroup is the directory of the cgroup that this process is in, or of the one
// above it if this one is a Main.
func ownCgroup() (string, error) {
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	dir, err := findCgroup(string(cgroups), string(mounts))
	if err == nil && filepath.Base(dir) == Main {
		dir = filepath.Dir(dir)
	}
	return dir, err
}

var (
	errOff  = errors.New(Variable + " is off")
	errNoV2 = errors.New("no cgroup v2 is mounted")
)

// findCgroup joins the path in a hierarchy (/proc/PID/cgroup) with the place where
// the hierarchy is mounted (/proc/PID/mountinfo). A path that starts with .. is
// outside what this process may see.
func findCgroup(cgroups, mounts string) (string, error) {
	var path string
	for line := range strings.Lines(cgroups) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSuffix(rest, "\n")
		}
	}
	for line := range strings.Lines(mounts) {
		mount, source, _ := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if !strings.HasPrefix(source, "cgroup2 ") || len(fields) < 5 || path == "" || strings.HasPrefix(path, "/../") {
			continue
		}
		root, at := fields[3], unescape(fields[4])
		if below, err := filepath.Rel(root, path); err == nil && below != ".." && !strings.HasPrefix(below, "../") {
			return filepath.Join(at, below), nil
		}
	}
	return "", errNoV2
}

// unescape undoes what mountinfo does to spaces and the like in paths.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// MakeHome makes the cgroup of this program's children, if this system's are of use.
func MakeHome(home string) error {
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(home, "cgroup.kill")); err != nil {
		return errors.Join(errors.New("this kernel has no cgroup.kill, which came with Linux 5.14"), os.Remove(home))
	}
	return nil
}

// Group is the control group of one child. Whoever made it removes it when the child is
// dead. Every method may be called on a nil Group, which is that of a child without one.
type Group struct {
	dir  string
	main *os.File // where the child is born
}

// New makes a group for one child below home.
func New(home string) (*Group, error) {
	dir, err := os.MkdirTemp(home, "")
	if err != nil {
		return nil, err
	}
	main := filepath.Join(dir, Main)
	if err := os.Mkdir(main, 0o700); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	file, err := os.Open(main)
	if err != nil { // of want of descriptors, most likely: removing what is empty needs none
		return nil, errors.Join(err, (&Group{dir: dir}).Remove())
	}
	return &Group{dir: dir, main: file}, nil
}

// LimitMemory bounds the memory of all processes of the group together, in bytes. What
// it holds cannot be swapped out instead.
func (g *Group) LimitMemory(most int64) error {
	if err := g.enable("memory"); err != nil {
		return err
	}
	err := g.set("memory.swap.max", 0)
	if err == nil || errors.Is(err, os.ErrNotExist) { // this kernel does not swap
		err = g.set("memory.max", most)
	}
	return err
}

// LimitProcesses bounds the processes and threads of the group.
func (g *Group) LimitProcesses(most int) error {
	if err := g.enable("pids"); err != nil {
		return err
	}
	return g.set("pids.max", int64(most))
}

func (g *Group) set(name string, value int64) error {
	return write(filepath.Join(g.dir, name), strconv.FormatInt(value, 10))
}

// enable makes a controller one of the group's: each cgroup above has to pass it on.
func (g *Group) enable(controller string) error {
	home := filepath.Dir(g.dir)
	for _, dir := range []string{filepath.Dir(home), home} {
		if err := passOn(dir, controller); err != nil {
			return fmt.Errorf("%w: %w", ErrNone, err)
		}
	}
	return nil
}

// passOn makes a controller one of those below dir.
func passOn(dir, controller string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	enabled, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(enabled)), controller) {
		return nil
	}
	if isOccupied(dir) {
		return fmt.Errorf("%s has processes of its own, the host among them, and so cannot have limits below it; "+
			"start the host in a cgroup below one that is delegated to it, called %s", dir, Main)
	}
	err = write(file, "+"+controller)
	if errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("%s has no controller %s; enable it above, or mount cgroup v2 instead of v1", dir, controller)
	}
	return err
}

// isOccupied reports whether a cgroup has processes of its own, which only the root of
// all may have beside controllers for those below. The kernel refuses some
// controllers then, and with others makes those below useless.
func isOccupied(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "cgroup.type")); errors.Is(err, os.ErrNotExist) {
		return false // the root of all
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return err == nil && len(procs) > 0
}

// write writes a value in one piece, as these files want it.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Refusal is not nil if an error of a fork may have come from the cgroup: from
// missing rights on it, its kind, a filter that knows no clone3.
func (g *Group) Refusal(err error) error {
	if g == nil {
		return nil
	}
	for _, errno := range []error{syscall.EACCES, syscall.EPERM, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.ENODEV} {
		if errors.Is(err, errno) {
			return fmt.Errorf("no process can be started in %s: %w", g.dir, err)
		}
	}
	return nil
}

// Kill sends SIGKILL to everything in the cgroup.
func (g *Group) Kill() error {
	if g == nil {
		return nil
	}
	return kill(g.dir)
}

// Used is how many processes were killed, and how many forks refused, because of the
// group's limits.
func (g *Group) Used() (oomKills, refusedForks int) {
	if g == nil {
		return 0, 0
	}
	return eventCount(filepath.Join(g.dir, "memory.events"), "oom_kill"), eventCount(filepath.Join(g.dir, "pids.events"), "max")
}

// Now is what the group has in memory, in bytes, and how many processes and threads it has. Both are 0 where
// there is no limit: the files come with the controllers, and a group has those only that its limits need. What it has in
// memory includes files that the kernel keeps for it, and so may be more than its processes say.
func (g *Group) Now() (memory int64, processes int) {
	if g == nil {
		return 0, 0
	}
	number := func(name string) int64 {
		text, _ := os.ReadFile(filepath.Join(g.dir, name))
		n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // the kernel writes numbers
		return n
	}
	return number("memory.current"), int(number("pids.current"))
}

// eventCount reads one of the numbers in a file of events. Without the controller
// there is no file, and nothing has happened.
func eventCount(file, name string) int {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			n, _ := strconv.Atoi(value) // the kernel writes numbers
			return n
		}
	}
	return 0
}

// Remove kills what is left in the cgroup and removes it.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	_ = g.main.Close() // it was only read
	// Most children leave nothing behind: two system calls instead of twenty. The kernel
	// refuses as long as there is a process or another cgroup in it.
	if syscall.Rmdir(filepath.Join(g.dir, Main)) == nil && syscall.Rmdir(g.dir) == nil {
		return nil
	}
	return Remove(g.dir)
}

func kill(dir string) error {
	err := write(filepath.Join(dir, "cgroup.kill"), "1")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil // it is gone
	}
	return err
}

// Remove kills everything in a cgroup and removes it and those below it.
// Without it nothing is done.
func Remove(dir string) error {
	if err := kill(dir); err != nil {
		return err
	}
	if err := awaitEmpty(dir, time.Now().Add(patience)); err != nil {
		return err
	}
	return removeBelow(dir)
}

// awaitEmpty waits until no living process is in a cgroup or below it.
func awaitEmpty(dir string, deadline time.Time) error {
	file, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	events := make([]byte, 256)
	for {
		n, err := file.ReadAt(events, 0)
		if errors.Is(err, syscall.ENODEV) || bytes.Contains(events[:n], []byte("populated 0")) {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("cgroup %s still has processes %v after SIGKILL; they are stuck inside the kernel", dir, patience)
		}
		awaitChange(file, left)
	}
}

// removeBelow removes a cgroup, those below it first. The files in it are the
// kernel's and go with it.
func removeBelow(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeBelow(filepath.Join(dir, entry.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
