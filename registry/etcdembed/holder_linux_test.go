package etcdembed_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

// holder is a host, in a child, that holds tree/x and writes to a file for each line that it is told, if it may.
//
// It says "waits" if another one has the name, "holds EPOCH" when it has it, and to each line "wrote" or "lost".
func holder(address, host, file string) {
	r, err := etcd.Open(context.Background(), fleet.Settings{Endpoints: []string{address}, TTL: 2 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := fleet.WaitJoin(context.Background(), r, fleet.Host{Name: host})
	if err != nil {
		fmt.Println(err)
		return
	}
	epoch, err := fleet.WaitHold(context.Background(), r, m, "tree/x", func(fleet.Entry) { fmt.Println("waits") })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("holds", epoch)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(write(m, epoch, file))
	}
}

// write adds the epoch to a file, if the name is held for certain. Two that do so at once are found by the lock.
func write(m fleet.Membership, epoch uint64, file string) string {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "two holders: " + err.Error()
	}
	if m.Err() != nil || !time.Now().Before(m.Until()) {
		return "lost"
	}
	if _, err := fmt.Fprintln(f, epoch); err != nil {
		return err.Error()
	}
	return "wrote"
}

// A holder that is frozen for longer than its lease writes nothing when it goes on, since another one may hold the name by then. Its first
// instruction after that is to look at Until: no timer of its own has run yet.
func TestFrozenHolderDoesNotGoOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := t.TempDir() + "/file"
	var epochs []string
	current := start(t, "holder", s.address, "h0", file)
	epochs = append(epochs, current.line())
	for i := range 3 {
		if said := current.ask("write"); said != "wrote" && said != "lost" { // lost if the machine was too slow to renew
			t.Fatal(said)
		}
		next := start(t, "holder", s.address, fmt.Sprintf("h%d", i+1), file)
		if said := next.line(); said != "waits" {
			if !strings.HasPrefix(said, "holds") { // the first was lost
				t.Fatal(said)
			}
			epochs = append(epochs, said)
			current = next
			continue
		}
		current.freeze()
		current.tell("write") // it reads this when it goes on
		epochs = append(epochs, next.line())
		if said := next.ask("write"); said != "wrote" && said != "lost" {
			t.Error(said)
		}
		current.signal(syscall.SIGCONT)
		if said := current.line(); said != "lost" {
			t.Errorf("a holder that was frozen until another one held its name: %s", said)
		}
		current = next
	}
	check(t, file, epochs)
}

// check wants each line of the file to be the epoch of a holder, in their order.
func check(t *testing.T, file string, epochs []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	last := -1
	for line := range strings.Lines(string(text)) {
		i := -1
		for at, e := range epochs {
			if strings.TrimSpace(line) == strings.TrimPrefix(e, "holds ") {
				i = at
			}
		}
		if i < last || i < 0 {
			t.Errorf("epoch %q was written behind that of %q; holders: %q", line, text, epochs)
		}
		last = i
	}
}
