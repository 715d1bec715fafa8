//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stat is what /proc says of a process.
type stat struct {
	pid, parent int
	state       byte
	start       uint64 // in ticks after boot
}

// readStat reads /proc/PID/stat.
func readStat(pid int) (s stat, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	i := bytes.LastIndexByte(text, ')') // of the name, which may hold anything
	fields := strings.Fields(string(text[i+1:]))
	if i < 0 || len(fields) < 20 {
		return s, fmt.Errorf("/proc/%d/stat has an unknown form: %q", pid, text)
	}
	s.pid, s.state = pid, fields[0][0]
	s.parent, err = strconv.Atoi(fields[1])
	if err == nil {
		s.start, err = strconv.ParseUint(fields[19], 10, 64)
	}
	return s, err
}

func startOf(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// descendants are all processes below this one; zombies, too. As the reaper of
// orphans this process has below it whatever the tree has left.
func descendants() (all []stat, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	below := map[int][]stat{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // else it has ended
			below[s.parent] = append(below[s.parent], s)
		}
	}
	for next := []int{os.Getpid()}; len(next) > 0; next = next[1:] {
		for _, s := range below[next[0]] {
			all = append(all, s)
			next = append(next, s.pid)
		}
	}
	return all, nil
}

// strays are the processes that nobody knows, or that are dead and not reaped by
// who started them. Dead orphans are reaped here: their parents could not.
func (d *driver) strays() (found []string, err error) {
	all, err := descendants()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		isRoot := d.rootCmd != nil && s.pid == d.rootCmd.Process.Pid
		if s.parent == os.Getpid() && s.state == 'Z' && !isRoot {
			_, err := unix.Wait4(s.pid, nil, unix.WNOHANG, nil)
			if err != nil {
				return nil, err
			}
			continue
		}
		if p := d.procs[s.pid]; p != nil && p.start == s.start && s.state != 'Z' {
			continue
		}
		found = append(found, fmt.Sprintf("pid %d, state %c, child of %d: %s", s.pid, s.state, s.parent, titleOf(s.pid)))
	}
	return found, nil
}

func titleOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err.Error()
	}
	return string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
}

// openFiles counts a process's descriptors.
func openFiles(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(entries)
}

// filesLeft counts sockets, locks and directories in the tree's TMPDIR.
func (d *driver) filesLeft() (names []string, err error) {
	err = filepath.WalkDir(d.tmp(), func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while it was read
		}
		names = append(names, path)
		return err
	})
	return names, err
}

// oddFiles are those directories among the files that do not hold what they should:
// a program's one has a lock and a directory for each child, with two sockets.
func (d *driver) oddFiles(files []string) string {
	slices.Sort(files)
	inside := map[string][]string{}
	for _, name := range files {
		inside[filepath.Dir(name)] = append(inside[filepath.Dir(name)], filepath.Base(name))
	}
	var odd []string
	for _, name := range files {
		kind := filepath.Base(filepath.Dir(name))
		pid, _, _ := strings.Cut(filepath.Base(name), "-")
		number, err := strconv.Atoi(pid)
		switch {
		case strings.HasPrefix(kind, "trellis-") && err == nil:
			p := d.procs[number]
			if p == nil || len(inside[name]) != 1+len(childrenOf(p.name)) {
				odd = append(odd, fmt.Sprintf("%s of %v: %v", name, p, inside[name]))
			}
		case strings.HasPrefix(filepath.Base(name), "plugin-dir") && len(inside[name]) != 2:
			odd = append(odd, fmt.Sprintf("%s: %v", name, inside[name]))
		}
	}
	return strings.Join(odd, "; ")
}

// settle waits until every actor runs once and every task works with the process
// that is there now.
func (d *driver) settle(ctx context.Context) error {
	err := d.await(ctx, patience, func() bool { return d.unsettled() == "" })
	if err != nil {
		return fmt.Errorf("the tree has not healed: %s: %w", d.unsettled(), err)
	}
	return nil
}

// unsettled says what is missing, "" if nothing is.
func (d *driver) unsettled() string {
	for _, p := range tree {
		if d.now(p.name) == nil {
			return p.name + " does not run"
		}
	}
	if len(d.procs) != len(tree) {
		return fmt.Sprintf("%d processes for %d actors", len(d.procs), len(tree))
	}
	for _, name := range hosts() {
		if missing := d.idleTask(d.now(name)); missing != "" {
			return missing
		}
	}
	return ""
}

// idleTask finds a task of a host that does not work with the present process.
func (d *driver) idleTask(p *proc) string {
	check := func(kind, target string) string {
		t, ok := d.tasksNow[taskKey{p.pid, kind, target}]
		if !ok || t.Peer != d.now(target).short {
			return fmt.Sprintf("task %s of %s with %s is connected to %q, not to %s", kind, p.name, target, t.Peer, d.now(target).short)
		}
		return ""
	}
	for _, child := range childrenOf(p.name) {
		for _, kind := range []string{kindCall, kindTicks, kindHold, kindTalk, kindPull, kindUpHold, kindChurn} {
			if missing := check(kind, child); missing != "" {
				return missing
			}
		}
		if p.name != root {
			continue
		}
		for _, leaf := range childrenOf(child) {
			if missing := check(kindDeep, leaf); missing != "" {
				return missing
			}
		}
	}
	return ""
}

// count waits until nothing is too many: processes, files, descriptors and
// goroutines. Those of a process that is met for the first time are counted for
// later. The load is held up meanwhile: its calls come and go.
func (d *driver) count(ctx context.Context) (err error) {
	if err := d.askAll(ctx, Command{Do: doHush}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.askAll(ctx, Command{Do: doSpeak})) }()
	for _, p := range d.procs {
		p.tidied, p.over = false, time.Time{}
	}
	var excess string
	err = d.await(ctx, patience, func() bool {
		excess = d.excess(ctx)
		return excess == ""
	})
	if err != nil {
		return fmt.Errorf("something is too many: %s: %w", excess, err)
	}
	return nil
}

func (d *driver) excess(ctx context.Context) string {
	if text := d.unsettled(); text != "" {
		return text
	}
	if strays, err := d.strays(); err != nil || len(strays) > 0 {
		return fmt.Sprintf("processes: %q, %v", strays, err)
	}
	files, err := d.filesLeft()
	if d.files == 0 {
		d.files = len(files)
	}
	if err != nil || len(files) > d.files {
		return fmt.Sprintf("%d files for %d: %s, %v", len(files), d.files, d.oddFiles(files), err)
	}
	for _, p := range tree {
		if text := d.excessOf(ctx, d.now(p.name)); text != "" {
			return text
		}
	}
	return ""
}

// samples is how often a new process is counted: health checks come and go, and the
// least is what it holds.
const samples = 4

func (d *driver) excessOf(ctx context.Context, p *proc) string {
	if p == nil {
		return "a process has ended"
	}
	times := 1
	if p.usual.fds == 0 {
		times = samples
	}
	least, err := d.holds(ctx, p)
	for range times - 1 {
		if more, again := d.holds(ctx, p); again == nil {
			least.fds, least.goroutines = min(least.fds, more.fds), min(least.goroutines, more.goroutines)
		}
	}
	if err != nil {
		return err.Error()
	}
	if p.usual.fds == 0 && d.unsettled() == "" {
		p.usual = least
		if d.verbose { // to be compared with, see dump
			if a, err := d.ask(ctx, p, Command{Do: doDump}); err == nil {
				p.stacks = a.Text
			}
		}
	}
	if least.fds > p.usual.fds {
		d.collect(ctx, p)
	}
	if least.fds > p.usual.fds || least.goroutines > p.usual.goroutines {
		return fmt.Sprintf("%s (pid %d) has %d descriptors for %d and %d goroutines for %d", p.name, p.pid, least.fds, p.usual.fds, least.goroutines, p.usual.goroutines)
	}
	return ""
}

// collect makes a process collect its garbage if it has had a descriptor too many
// for a while: go-plugin's broker drops a listener without closing it if its child
// dies at that moment (GRPCBroker.Accept), and it is the collector that closes it.
func (d *driver) collect(ctx context.Context, p *proc) {
	if p.over.IsZero() {
		p.over = time.Now()
	}
	if p.tidied || time.Since(p.over) < overBound {
		return
	}
	if _, err := d.ask(ctx, p, Command{Do: doTidy}); err == nil { // else the count goes on without
		p.tidied = true
		d.tally.tidied++
	}
}

// overBound is how long a process may have a descriptor too many before the
// garbage collector is asked to look for it.
const overBound = 300 * time.Millisecond

// holdings are what a process has of what runs out.
type holdings struct{ fds, goroutines int }

func (d *driver) holds(ctx context.Context, p *proc) (holdings, error) {
	a, err := d.ask(ctx, p, Command{Do: doCount})
	return holdings{openFiles(p.pid), a.Goroutines}, err
}
