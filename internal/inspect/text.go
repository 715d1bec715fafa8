package inspect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// mostDump is how many bytes a dump has before only the first line of each actor is written. It is what an editor opens
// without trouble; a tree of a hundred actors with a thousand goroutines each is within it.
const mostDump = 64 << 20

// Dump writes what is known of the actors that a text means ("": all, and the host itself), each after its host, with
// the goroutines of those that answer. Lines that a process itself has said begin with a bar, so that none of them can
// be taken for another one.
func (t Tree) Dump(ctx context.Context, to io.Writer, name string) error {
	entries, err := t.Entries(ctx, name)
	if err != nil {
		return err
	}
	w := &counted{to: to}
	w.line("actors: %d; dumped at %s; lines with a bar are what a process says of itself", len(entries), time.Now().Format(time.RFC3339))
	last, err := t.lastOf(ctx, telemetry.Filter{Actor: name, Level: slog.LevelDebug})
	if err != nil {
		w.line("%s", unread(err).Text)
	}
	for a := range t.Each(ctx, entries, wire.OrderDump) {
		a.Log = last[a.Path]
		if w.actor(a, time.Now()); w.err != nil {
			return w.err
		}
	}
	if err := context.Cause(ctx); err != nil {
		w.line("\nthe rest is missing: %s", terminal.Line(err.Error()))
	}
	w.flush()
	return w.err
}

// counted writes lines, whole ones with each write, and keeps the first error. Whole ones, since what a terminal is
// given is looked at by writes: a character that is cut in two would be two wrong ones. It belongs to one dump, and is
// used by its goroutine alone.
type counted struct {
	to  io.Writer
	buf bytes.Buffer
	n   int // bytes in all
	err error
}

// line writes a line, which is sent on when there are enough of them.
func (w *counted) line(format string, args ...any) {
	n, _ := fmt.Fprintf(&w.buf, format+"\n", args...) // it does not fail
	if w.n += n; w.buf.Len() > 64<<10 {
		w.flush()
	}
}

// flush sends on what was written. After an error everything is dropped: the loop of Dump ends with it.
func (w *counted) flush() {
	if w.err == nil {
		_, w.err = w.buf.WriteTo(w.to)
	}
	w.buf.Reset()
}

// actor writes what is known of an actor. The first line of each begins at the margin, and no other one does: what
// an actor says cannot look like the beginning of another one.
func (w *counted) actor(a *Actor, now time.Time) {
	lines := a.Lines(now)
	w.line("\n== %s", lines[0])
	if w.n > mostDump {
		w.line("   left out: this dump has %s already", size(mostDump))
		return
	}
	for _, line := range lines[1:] {
		w.line("   %s", line)
	}
	if a.Process == nil || a.Process.Stacks == "" {
		return
	}
	w.line("   goroutines")
	for line := range strings.Lines(a.Process.Stacks) {
		w.line("   | %s", terminal.Text(strings.TrimSuffix(line, "\n")))
	}
	if a.Process.Cut {
		w.line("   the goroutines are cut at %s", size(mostStacks))
	}
}

// Lines are what is known of the actor, but its goroutines and the types of its endpoints. The first one says who it is.
// Nothing in them can steer a terminal.
func (a *Actor) Lines(now time.Time) []string {
	d := description{now: now}
	d.lines = []string{terminal.Line(fmt.Sprintf("%s  %s@%.8s  pid %d, process %d%s", cmp.Or(a.Path, "(root)"), a.Name, a.UUID, a.PID, a.Epoch, a.kind()))}
	d.add("state", "%s%s%s", a.State, d.since(" for ", a.Since), after(": ", a.Reason))
	d.program(a.Program)
	if f := a.Failure; f != nil {
		d.add("failed", "%s ago", d.age(f.Time))
		for _, line := range f.Story {
			d.add("", "%s", line)
		}
	}
	if r := a.Restarts; r != nil {
		d.add("restarts", "%s; %d of %d left within %s, for all beside it%s", r.Kind, r.Left, r.Max, r.Window, d.until("; the next process in ", r.Next))
	}
	switch h := a.Health; {
	case h == nil:
	case h.Time.IsZero():
		d.add("health", "not checked yet")
	default:
		d.add("health", "%s, %s ago", cmp.Or(after("failed: ", h.Failed), "healthy"), d.age(h.Time))
	}
	d.limits(a.Limits)
	d.process(a)
	d.contexts("contexts", a.Contexts, a.More)
	if a.Process != nil {
		d.contexts("its own", a.Process.Contexts, a.Process.More)
	}
	if len(a.Endpoints) > 0 {
		names := make([]string, len(a.Endpoints))
		for i, e := range a.Endpoints {
			names[i] = e.Name
		}
		d.add("serves", "%s", strings.Join(names, ", "))
	}
	for i, r := range a.Log {
		label := ""
		if i == 0 {
			label = "log"
		}
		d.add(label, "%s %-5s %s", r.Time.Local().Format("15:04:05.000"), r.Level, &r)
	}
	return d.lines
}

// kind is what is particular to the actor, behind other text.
func (a *Actor) kind() string {
	switch {
	case a.Host != "":
		return ", on host " + a.Host
	case a.Joined:
		return ", a program that has joined"
	case a.Foreign:
		return ", a foreign program"
	}
	return ""
}

// description are lines about an actor, each with what it is about in front.
type description struct {
	now   time.Time
	lines []string
}

// add adds a line. What stands in it may come from anybody.
func (d *description) add(label, format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf("%-10s", label)+terminal.Line(fmt.Sprintf(format, args...)))
}

// program says what is executed, and with what, but no values.
func (d *description) program(p *Program) {
	if p == nil {
		return
	}
	d.add("program", "%s", p.Path)
	var more []string
	for _, text := range []string{after("sha256 ", p.SHA256), p.Note} {
		if text != "" {
			d.add("", "%s", text)
		}
	}
	if p.Arguments > 0 {
		more = append(more, fmt.Sprintf("%d arguments", p.Arguments))
	}
	if len(p.Env) > 0 {
		more = append(more, "env "+strings.Join(p.Env, ", "))
	}
	if p.Dir != "" {
		more = append(more, "dir "+p.Dir)
	}
	if len(more) > 0 {
		d.add("", "%s", strings.Join(more, "; "))
	}
}

// limits are told in one line.
func (d *description) limits(all []Limit) {
	texts := make([]string, len(all))
	for i, l := range all {
		texts[i] = l.String()
	}
	if len(texts) > 0 {
		d.add("uses", "%s", strings.Join(texts, ", "))
	}
}

// process is what the process says, or why it says nothing; and what the system says of it, which is always of interest:
// a process that is stopped may have answered a moment before.
func (d *description) process(a *Actor) {
	system := after("; the system says of it: ", a.System)
	if p := a.Process; p != nil {
		pid := ""
		if p.PID != a.PID {
			pid = fmt.Sprintf("pid %d, ", p.PID)
		}
		d.add("process", "%s%d goroutines, %s%s%s", pid, p.Goroutines, p.Go, after(", ", p.Module), system)
		return
	}
	d.add("process", "%s%s", a.Silent, system)
}

// contexts are those of one end of a link, the oldest first.
func (d *description) contexts(label string, all []dialog.Info, more int) {
	for _, c := range all {
		d.add(label, "%s", d.context(&c))
		label = ""
	}
	if more > 0 {
		d.add(label, "and %d more", more)
	}
}

// context is a dialog in one line: what it is and with whom, since when, where it stands and what its task waits for, and
// the messages that have gone each way. What is 0 is left out.
func (d *description) context(c *dialog.Info) string {
	what := strings.TrimSpace(c.Endpoint + " " + c.Kind)
	switch c.Role {
	case dialog.RoleOpener:
		what += " at " + c.Peer
	case dialog.RoleCallee:
		what += " for " + c.Peer
	default:
		what = "relayed" + after(" ", what) + " to " + c.Peer
	}
	what += d.since(", for ", c.Since) + after(", ", c.Phase) + after(", waits for ", c.Waits)
	if c.Stuck {
		what += ", was told to end and goes on"
	}
	for _, n := range []struct {
		what string
		n    uint64
	}{{"sent", c.Sent}, {"received", c.Received}, {"not taken", uint64(max(0, c.Queued))}, {"credit", uint64(max(0, c.Credit))}} {
		if n.n > 0 {
			what += fmt.Sprintf(", %s %d", n.what, n.n)
		}
	}
	return what
}

// age is how long ago something was.
func (d *description) age(t time.Time) string { return short(d.now.Sub(t)) }

// since is how long ago something was, behind other text; "" if it never was.
func (d *description) since(text string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return text + d.age(t)
}

// until is how long it is until something happens, behind other text; "" if it does not.
func (d *description) until(text string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return text + short(t.Sub(d.now))
}

// short is a time as people say it: the smaller it is, the more digits count. A time that clocks make negative is 0.
func short(t time.Duration) string {
	switch t = max(0, t); {
	case t < time.Second:
		return t.Round(time.Millisecond).String()
	case t < time.Minute:
		return t.Round(100 * time.Millisecond).String()
	}
	return t.Round(time.Second).String()
}

// after is a text behind another one; "" without a text.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// The names of limits, as in a config.
const (
	Memory    = "memory"
	FileSize  = "file_size"
	Core      = "core"
	CPU       = "cpu"
	OpenFiles = "open_files"
	Processes = "processes"
)

// String is the limit in a few words, such as "memory 12.5 MiB of 64.0 MiB", or "open_files 11" without one.
// What is used is that of the moment, while a limit on processor time counts from the process's start: it is what
// the process has used in all. Limits that nothing is known of but themselves are "at most" so much.
func (l Limit) String() string {
	text := func(n int64) string {
		switch l.Name {
		case Memory, FileSize, Core:
			return size(n)
		case CPU:
			return short(time.Duration(n))
		}
		return strconv.FormatInt(n, 10)
	}
	switch {
	case l.Max == 0:
		return l.Name + " " + text(l.Used)
	case l.Used == 0:
		return l.Name + " at most " + text(l.Max)
	}
	return l.Name + " " + text(l.Used) + " of " + text(l.Max)
}

// size is a number of bytes as people say it.
func size(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
