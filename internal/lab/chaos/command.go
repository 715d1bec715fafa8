//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// What the driver can tell an actor to do.
const (
	doCount  = "count"  // its goroutines
	doHush   = "hush"   // hold up its load
	doSpeak  = "speak"  // go on with it
	doTidy   = "tidy"   // collect garbage
	doDump   = "dump"   // their stacks
	doCut    = "cut"    // break a socket
	doShout  = "shout"  // fill its own standard output and error
	doStarve = "starve" // do without new file descriptors for a while
	doFeed   = "feed"   // end that
	doNest   = "nest"   // run a nursery whose child cannot live
)

// obey carries out a command. What takes time runs beside the others.
func (p *player) obey(c Command) {
	task.Start(func() { // for as long as the process lives
		a := Answer{ID: c.ID}
		var err error
		switch c.Do {
		case doCount:
			a.Goroutines = runtime.NumGoroutine()
		case doHush:
			traffic.close()
		case doSpeak:
			traffic.open()
		case doTidy:
			runtime.GC()
		case doDump:
			var b bytes.Buffer
			err = pprof.Lookup("goroutine").WriteTo(&b, 1)
			a.Text = b.String()
		case doCut:
			a.N, err = cut(c.Peer, c.Main, c.How)
		case doShout:
			err = shout(c.Size)
		case doStarve:
			err = setFileLimit(starving)
		case doFeed:
			err = setFileLimit(enough)
		case doNest:
			a.N, a.Verdict = p.nest()
		default:
			err = fmt.Errorf("unknown command %q", c.Do)
		}
		if err != nil {
			a.Err = err.Error()
		}
		p.up.tell(Report{Answer: &a})
	})
}

// shout writes what has no end of line.
func shout(size int) error {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if _, err := f.Write(bytes.Repeat([]byte{'a'}, size)); err != nil {
			return err
		}
	}
	return nil
}

// Limits of open files. Those that are open stay so.
const (
	starving = 8
	enough   = 1024
)

func setFileLimit(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = n
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// nestRestarts is how many restarts the nested nursery has.
const nestRestarts = 2

// nest runs a nursery whose only child dies whenever it is called, until the
// nursery gives up. It counts the deaths that its calls were told of.
func (p *player) nest() (deaths int, _ *Verdict) {
	<-p.ready
	spec := host.Spec{
		Name: "frail", Command: []string{"/proc/self/exe"}, Env: map[string]string{roleVar: roleFrail, "GORACE": os.Getenv("GORACE")},
		Restart: config.Permanent, Backoff: config.Backoff{Initial: config.Duration(time.Millisecond), Max: config.Duration(pauseMost)},
	}
	o := host.Options{Supervision: config.Supervision{MaxRestarts: nestRestarts, Window: config.Duration(time.Hour)}}
	err := host.OpenNursery(p.ctx, o, func(ctx context.Context, n *host.Nursery) error {
		portal, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			_, err := die.Call(ctx, portal, none{})
			if v := classify(err); v.Class == classDied {
				deaths++
			}
		}
		return context.Cause(ctx)
	})
	v := classify(err)
	return deaths, &v
}
