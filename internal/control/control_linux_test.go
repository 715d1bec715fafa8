package control_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

const roleVar = "CONTROL_TEST_ROLE"

// TestMain makes the test binary a host that serves until it is killed, if it is told to.
func TestMain(m *testing.M) {
	address := os.Getenv(roleVar)
	if address == "" {
		os.Exit(m.Run())
	}
	if _, err := control.Listen(address); err != nil {
		panic(err)
	}
	fmt.Println("serving") // the test waits for this line
	select {}
}

// killed starts a host in a process of its own, and kills it.
func killed(t *testing.T, address string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"="+address)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// listen listens at an address until the test has ended, or close is called.
func listen(t *testing.T, address string) *control.Listener {
	t.Helper()
	l, err := control.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func hello(name string) *wire.BootResponse {
	return &wire.BootResponse{Self: &wire.Identity{Name: name}}
}

// left are the files below a folder.
func left(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

// D04: the two ends learn what they need of each other, and the kernel says who has come.
func TestD04_Greetings(t *testing.T) {
	dir := tempdir.Use(t)
	l := listen(t, "default")
	self := actor.NewID("guest")
	hosted := make(chan error, 1)
	go func() {
		hosted <- func() error {
			caller, err := l.Accept()
			if err != nil {
				return err
			}
			if caller.PID != os.Getpid() {
				t.Errorf("D04: the caller's pid is %d, want %d", caller.PID, os.Getpid())
			}
			said, err := caller.Hear(t.Context())
			if err != nil {
				return err
			}
			if said.Self.GetName() != "guest" {
				t.Errorf("D04: %v has come", said.Self)
			}
			host, err := caller.Admit(t.Context(), &wire.BootRequest{Self: wire.FromID(self)})
			if err == nil {
				host.Abort()
			}
			return err
		}()
	}()
	end, boot, err := control.Join(t.Context(), "default", hello("guest"))
	if err != nil {
		t.Fatal(err)
	}
	if !boot.Self.ToID().Is(self) {
		t.Errorf("D04: it is told that it is %v, want %v", boot.Self, self)
	}
	if err := <-hosted; err != nil {
		t.Error(err)
	}
	end.Abort()
	l.Close()
	if files := left(t, dir); len(files) > 0 {
		t.Errorf("D04: %v is left", files)
	}
}

// D04: a refusal comes as the error that it is.
func TestD04_ARefusalSaysWhy(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	done := make(chan struct{})
	go func() {
		defer close(done)
		caller, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		caller.Refuse(t.Context(), fmt.Errorf("%w: no place is left", fault.ErrOverloaded), actor.NewID("host"))
	}()
	_, _, err := control.Join(t.Context(), "default", hello("guest"))
	if !errors.Is(err, fault.ErrOverloaded) || !strings.Contains(err.Error(), "no place is left") {
		t.Errorf("D04: %v", err)
	}
	<-done
}

// D04: the end of ctx is the error as it is, also while the host has not answered yet.
func TestD04_JoinEndsWithItsCtx(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	ctx, cancel := context.WithCancelCause(t.Context())
	why, told := errors.New("enough"), make(chan error, 1)
	go func() {
		_, _, err := control.Join(ctx, "default", hello("guest"))
		told <- err
	}()
	caller, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	cancel(why)
	if err := <-told; err != why { //nolint:errorlint // the very same
		t.Errorf("D04: %v", err)
	}
}

// D04, N07: what a host has left that was killed is nobody's: it keeps no other one from serving, and
// whoever wants to join is told.
func TestD04_AKilledHostIsSweptAway(t *testing.T) {
	dir := tempdir.Use(t)
	killed(t, "default")
	if len(left(t, dir)) == 0 {
		t.Fatal("the host has left nothing")
	}
	if _, _, err := control.Join(t.Context(), "default", hello("guest")); !errors.Is(err, control.ErrNoHost) {
		t.Errorf("D04: %v", err)
	}
	listen(t, "default").Close()
	if files := left(t, dir); len(files) > 0 {
		t.Errorf("N07: %v is left", files)
	}
}

// N07: any host that starts removes what another one has left that was killed, and nothing of one that lives.
func TestN07_AnyHostSweeps(t *testing.T) {
	dir := tempdir.Use(t)
	killed(t, "default")
	alive := listen(t, "other")
	if _, err := rundir.Open(); err != nil {
		t.Fatal(err)
	}
	must(t, rundir.Close())
	names := []string{}
	for _, path := range left(t, dir) {
		names = append(names, filepath.Base(path))
	}
	if want := []string{filepath.Base(filepath.Dir(alive.Path())), "other.socket", "other.socket.lock"}; !slices.Equal(names, want) {
		t.Errorf("N07: %v is left, want %v", names, want)
	}
	conn, err := net.Dial("unix", alive.Path())
	must(t, err)
	must(t, conn.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An address says what is wrong with it.
func TestAddresses(t *testing.T) {
	tempdir.Use(t)
	for address, want := range map[string]string{
		"":                                 "expected a name",
		"Default":                          "expected a name",
		"..":                               "expected a name",
		"a.socket":                         "expected a name",
		"/tmp/" + strings.Repeat("x", 100): "are sure to fit",
	} {
		if _, err := control.Listen(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, _, err := control.Join(t.Context(), "nobody", hello("guest")); !errors.Is(err, control.ErrNoHost) {
		t.Errorf("%v", err)
	}
	absent := filepath.Join(tempdir.Use(t), "absent")
	if _, err := control.Listen(filepath.Join(absent, "socket")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := os.Lstat(absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

// Whatever comes instead of a greeting, the host says what it is, and keeps little of it.
func TestD04_WhatIsNotAGreeting(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	lengthOf := func(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
	for name, test := range map[string]struct {
		send []byte
		want string
	}{
		"nothing":          {nil, "has closed the connection"},
		"half a length":    {[]byte{0, 0}, "has closed the connection"},
		"half a greeting":  {append(lengthOf(1<<20), 1, 2, 3), "has closed the connection"},
		"another protocol": {[]byte("GET / HTTP/1.1\r\n"), "another kind of program"},
		"not CBOR":         {append(lengthOf(3), 0xff, 0xff, 0xff), "cannot be read"},
		"another version":  {append(lengthOf(10), "\xa1\x67version\x09"...), "speaks version 9"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", l.Path())
			must(t, err)
			if _, err := conn.Write(test.send); err != nil {
				t.Error(err)
			}
			must(t, conn.Close())
			caller, err := l.Accept()
			must(t, err)
			defer caller.Close()
			if _, err := caller.Hear(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Neither end waits for the other's greeting beyond its ctx.
func TestD04_TheEndOfCtxEndsTheWaiting(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	why := errors.New("it has waited for long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, _, err := control.Join(ctx, "default", hello("guest"))
		joined <- err
	}()
	caller, err := l.Accept()
	must(t, err)
	defer caller.Close()
	cancel(why)
	if err := <-joined; !errors.Is(err, why) {
		t.Errorf("Join: %v", err)
	}
	silent, err := net.Dial("unix", l.Path())
	must(t, err)
	defer func() { _ = silent.Close() }()
	caller, err = l.Accept()
	must(t, err)
	defer caller.Close()
	if _, err := caller.Hear(ctx); !errors.Is(err, why) {
		t.Errorf("Hear: %v", err)
	}
}

// What is behind the greetings is the link's: neither reads too far.
func TestD04_FramesFollowTheGreetings(t *testing.T) {
	tempdir.Use(t)
	l := listen(t, "default")
	host := make(chan link.Transport, 1)
	go func() {
		caller, err := l.Accept()
		if err == nil {
			_, err = caller.Hear(t.Context())
		}
		var end link.Transport
		if err == nil {
			end, err = caller.Admit(t.Context(), &wire.BootRequest{})
		}
		if err == nil {
			err = end.Send(wire.Batch{[]byte{0x0a, 0x02, 0x10, 0x02}}) // a frame with its kind
		}
		if err != nil {
			t.Error(err)
		}
		host <- end
	}()
	end, _, err := control.Join(t.Context(), "default", hello("guest"))
	must(t, err)
	packet, err := end.Recv()
	if err != nil || len(packet.Frames) != 1 || packet.Frames[0].Kind != wire.Kind_KIND_BYE {
		t.Errorf("%v, %v", packet, err)
	}
	end.Abort()
	if far := <-host; far != nil {
		far.Abort()
	}
}
