//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// driver strikes the tree and watches it. It is not part of it: it hears of the
// processes over connections of their own, and is the reaper of what they leave.
// One goroutine runs everything but the reading of connections.
type driver struct {
	program  string
	dir      string // of the run: the socket, the log, and the tree's TMPDIR
	out      io.Writer
	verbose  bool
	listener *net.UnixListener
	log      *os.File
	tasks    task.Group // accept loop and readers
	inbox    chan mail
	closed   chan struct{}

	rootCmd  *exec.Cmd
	rootDone *task.Worker
	rootErr  error // set before rootDone ends

	procs    map[int]*proc // those with a connection, by pid
	nameOf   map[string]string
	tasksNow map[taskKey]Task // what each task of a process that lives is connected to
	answers  map[int]Answer
	suspects map[int]bool // answers about an actor whose health checks fail
	nextID   int

	failures []witness // since the last blow
	steps    []witnessed
	files    int // in the tree's TMPDIR when nothing is wrong
	tally    tally
}

// proc is a process of the tree.
type proc struct {
	name, short string
	pid         int
	start       uint64 // of the process, so that a pid is not taken for its next owner
	conn        *net.UnixConn
	met         time.Time
	usual       holdings  // when nothing is wrong; zero while not known
	tidied      bool      // in this count
	over        time.Time // since when it has too many descriptors, in this count
	stacks      string    // of its goroutines at that time, in a verbose run
}

// String is for messages.
func (p *proc) String() string {
	if p == nil {
		return "nobody"
	}
	return p.name
}

// mail is what a reader hands to the driver.
type mail struct {
	from  *proc
	r     Report
	ended bool
}

// taskKey names one task of one process.
type taskKey struct {
	pid          int
	kind, target string
}

// witness is a failure and who got it.
type witness struct {
	owner string // name
	pid   int
	f     Failure
}

// witnessed is a supervisor's step and whose supervisor it is.
type witnessed struct {
	owner string
	s     Step
}

// newDriver makes a run in a directory of its own below dir, whose path has to be
// short: sockets lie below it.
func newDriver(dir string, out io.Writer, verbose bool) (*driver, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	d := &driver{
		program: program, dir: dir, out: out, verbose: verbose, inbox: make(chan mail, 1024), closed: make(chan struct{}),
		procs: map[int]*proc{}, nameOf: map[string]string{}, tasksNow: map[taskKey]Task{}, answers: map[int]Answer{}, suspects: map[int]bool{},
	}
	if err := os.Mkdir(d.tmp(), 0o700); err != nil {
		return nil, err
	}
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil { //nolint:gosec // dir was made for this
		return nil, err
	}
	d.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "driver"), Net: "unix"})
	if err != nil {
		return nil, errors.Join(err, d.log.Close())
	}
	d.tasks.Go(d.accept)
	return d, nil
}

// tmp is the tree's TMPDIR.
func (d *driver) tmp() string { return filepath.Join(d.dir, "t") }

// close ends everything that still runs.
func (d *driver) close() error {
	err := d.killAll(context.Background())
	close(d.closed)
	err = errors.Join(err, d.listener.Close())
	d.tasks.Close()
	return errors.Join(err, d.log.Close())
}

// killAll ends the tree with force, whatever state it is in.
func (d *driver) killAll(ctx context.Context) error {
	if d.rootDone == nil {
		return nil
	}
	_ = d.rootCmd.Process.Kill() // fails if it has ended
	d.rootDone.Wait()
	for _, p := range d.procs {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // the same
	}
	return d.await(ctx, patience, d.empty)
}

func (d *driver) accept() {
	for {
		conn, err := d.listener.AcceptUnix()
		if err != nil {
			return // close
		}
		d.tasks.Go(func() { d.read(conn) })
	}
}

// read passes on what a process tells.
func (d *driver) read(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	p := &proc{conn: conn}
	in := bufio.NewScanner(conn)
	in.Buffer(nil, largestReport)
	for in.Scan() {
		var r Report
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			break // the process was killed within a line
		}
		if !d.post(mail{from: p, r: r}) {
			return
		}
	}
	d.post(mail{from: p, ended: true})
}

func (d *driver) post(m mail) bool {
	select {
	case d.inbox <- m:
		return true
	case <-d.closed:
		return false
	}
}

// launch starts the root host.
func (d *driver) launch() error {
	cmd := exec.Command(d.program) //nolint:noctx // the driver ends it by other means
	cmd.Env = append(os.Environ(), roleVar+"="+roleRoot, nameVar+"="+root, socketVar+"="+filepath.Join(d.dir, "driver"),
		"TMPDIR="+d.tmp(), "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.rootCmd = cmd
	d.rootDone = task.Start(func() { d.rootErr = cmd.Wait() })
	return nil
}

// errSlow is what await returns when its bound is over.
var errSlow = errors.New("it did not happen in time")

// await handles mail until cond holds, asking again after every piece of mail and
// every few milliseconds.
func (d *driver) await(ctx context.Context, bound time.Duration, cond func() bool) error {
	limit := time.NewTimer(bound)
	defer limit.Stop()
	again := time.NewTicker(4 * time.Millisecond)
	defer again.Stop()
	for {
		d.drain()
		if cond() {
			return nil
		}
		select {
		case m := <-d.inbox:
			d.take(m)
		case <-again.C:
		case <-limit.C:
			return fmt.Errorf("%w (%v)", errSlow, bound)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rest lets time pass.
func (d *driver) rest(ctx context.Context, wait time.Duration) error {
	over := time.Now().Add(wait)
	return d.await(ctx, wait+time.Minute, func() bool { return !time.Now().Before(over) })
}

// drain takes the mail that is there.
func (d *driver) drain() {
	for {
		select {
		case m := <-d.inbox:
			d.take(m)
		default:
			return
		}
	}
}

// take notes a piece of mail.
func (d *driver) take(m mail) {
	p := m.from
	switch {
	case m.ended:
		d.bury(p)
	case m.r.Hello != nil:
		h := m.r.Hello
		p.name, p.short, p.pid = h.Name, h.Short, h.PID
		if p.met.IsZero() {
			p.met = time.Now()
			p.start, _ = startOf(p.pid) // 0 if it is gone already
		}
		d.procs[p.pid] = p
		if p.short != "" { // the root's own comes later
			d.nameOf[p.short] = p.name
		}
	case m.r.Step != nil:
		d.steps = append(d.steps, witnessed{p.name, *m.r.Step})
		if m.r.Step.To == "unhealthy" {
			d.examine(d.procs[m.r.Step.PID])
		}
	case m.r.Open != nil:
		d.tasksNow[taskKey{p.pid, m.r.Open.Kind, m.r.Open.Target}] = *m.r.Open
	case m.r.Failed != nil:
		delete(d.tasksNow, taskKey{p.pid, m.r.Failed.Kind, m.r.Failed.Target})
		d.failures = append(d.failures, witness{p.name, p.pid, *m.r.Failed})
	case m.r.Answer != nil:
		d.answers[m.r.Answer.ID] = *m.r.Answer
		if d.suspects[m.r.Answer.ID] {
			d.note("goroutines of %v (pid %d), whose health check has failed:\n%s", p, p.pid, m.r.Answer.Text)
		}
	}
}

// note writes into the run's log, among what the actors log.
func (d *driver) note(format string, args ...any) {
	_, _ = fmt.Fprintf(d.log, "--- "+format+"\n", args...)
}

// examine notes what a process is doing that does not answer its health check.
func (d *driver) examine(p *proc) {
	if p == nil {
		return
	}
	s, err := readStat(p.pid)
	d.note("a health check of %v (pid %d) has failed; its state is %c, %v", p, p.pid, s.state, err)
	if id, err := d.send(p, Command{Do: doDump}); err == nil {
		d.suspects[id] = true
	}
}

// bury forgets a process that has ended.
func (d *driver) bury(p *proc) {
	if d.procs[p.pid] != p {
		return
	}
	delete(d.procs, p.pid)
	for key := range d.tasksNow {
		if key.pid == p.pid {
			delete(d.tasksNow, key)
		}
	}
}

// now is the latest process of an actor, nil if there is none.
func (d *driver) now(name string) (latest *proc) {
	for _, p := range d.procs {
		if p.name == name && (latest == nil || p.met.After(latest.met)) {
			latest = p
		}
	}
	return latest
}

// send tells a process to do something, and gives the id of its answer.
func (d *driver) send(p *proc, c Command) (id int, err error) {
	d.nextID++
	c.ID = d.nextID
	line, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	_, err = p.conn.Write(append(line, '\n'))
	return c.ID, err
}

// errEnded is what comes of a command to a process that ends instead of answering.
var errEnded = errors.New("it has ended")

// askAll sends a command to every process and waits for the answers of those that
// live.
func (d *driver) askAll(ctx context.Context, c Command) error {
	asked := map[int]*proc{}
	for _, p := range d.procs {
		if id, err := d.send(p, c); err == nil { // else it is about to be buried
			asked[id] = p
		}
	}
	err := d.await(ctx, patience, func() bool {
		for id, p := range asked {
			if _, ok := d.answers[id]; ok || d.procs[p.pid] != p {
				delete(d.answers, id)
				delete(asked, id)
			}
		}
		return len(asked) == 0
	})
	if err != nil {
		return fmt.Errorf("%s of %d processes: %w", c.Do, len(asked), err)
	}
	return nil
}

// patience is how long anything may take that must happen: after it, it will not. How long
// things take is measured, and no reason to fail: the machine may be busy.
const patience = 2 * time.Minute

// ask sends a command and waits for its answer.
func (d *driver) ask(ctx context.Context, p *proc, c Command) (a Answer, err error) {
	id, err := d.send(p, c)
	if err != nil {
		return a, fmt.Errorf("%s of %s: %w", c.Do, p.name, err)
	}
	defer delete(d.answers, id)
	answered := func() (ok bool) { a, ok = d.answers[id]; return ok }
	err = d.await(ctx, patience, func() bool { return answered() || d.procs[p.pid] != p })
	if err == nil && !answered() {
		err = errEnded
	}
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	if err != nil {
		return a, fmt.Errorf("%s of %s: %w", c.Do, p.name, err)
	}
	return a, nil
}
