//go:build lab

package netns_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/netns"
)

const roleVar = "NETNS_TEST_ROLE"

// TestMain makes the test binary a program that echoes lines at an address, or says one there.
func TestMain(m *testing.M) {
	switch role, address := os.Getenv(roleVar), os.Getenv("AT"); role {
	case "echo":
		panic(echo(address))
	case "say":
		if err := say(address); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

func echo(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_, err = io.Copy(conn, conn)
		if err := errors.Join(err, conn.Close()); err != nil {
			return err
		}
	}
}

// say fails if no answer comes: the bound is only long enough for a connection on a busy machine.
func say(address string) error {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(conn, "hello"); err == nil {
		_, err = bufio.NewReader(conn).ReadString('\n')
	}
	return errors.Join(err, conn.Close())
}

// Machines reach each other unless their link is cut, or one loses what it sends.
func TestMachines(t *testing.T) {
	n := netns.New(t, "a", "b")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := n.Address("b") + ":7000"
	server := n.Command("b", self)
	server.Env = append(server.Env, roleVar+"=echo", "AT="+address)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
	})
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	if pids := n.Processes("b"); len(pids) != 1 || pids[0] != server.Process.Pid {
		t.Errorf("%v run on b, want %d", pids, server.Process.Pid)
	}
	reaches := func(want bool, when string) {
		t.Helper()
		cmd := n.Command("a", self)
		cmd.Env = append(cmd.Env, roleVar+"=say", "AT="+address)
		if text, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%s: %v %s", when, err, text)
		}
	}
	reaches(true, "at first")
	n.Cut("b")
	reaches(false, "cut")
	n.Mend("b")
	reaches(true, "mended")
	n.Block("a", "b")
	reaches(false, "blocked there")
	n.Unblock("a", "b")
	n.Block("b", "a")
	reaches(false, "blocked back")
	n.Unblock("b", "a")
	reaches(true, "at last")
}
