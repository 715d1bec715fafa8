package fleet_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// newCA makes the CA of a fleet.
func newCA(t *testing.T) (ca *fleet.CA, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ca")
	ca, err := fleet.NewCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ca, dir
}

// issue makes the folder of a host.
func issue(t *testing.T, ca *fleet.CA, host string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), host)
	if err := ca.Issue(host, dir, fleet.DefaultLifetime); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, dir string) *fleet.Credentials {
	t.Helper()
	c, err := fleet.LoadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put copies files from one folder into the place of those of another one.
func put(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name+".new"), text, 0o600)
		}
		if err == nil {
			err = os.Rename(filepath.Join(to, name+".new"), filepath.Join(to, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// connected is the two ends of a connection over the loopback.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // both ends are there
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// meet has two hosts shake hands, and says why one of them did not let the other one in.
func meet(t *testing.T, server, client *fleet.Credentials, wantServer string) error {
	t.Helper()
	s, err := server.TLS("")
	if err != nil {
		return err
	}
	c, err := client.TLS(wantServer)
	if err != nil {
		return err
	}
	near, far := connected(t)
	conn := tls.Server(near, s)
	var failed error
	serving := task.Start(func() {
		failed = conn.Handshake()
		if failed == nil {
			_, failed = conn.Write([]byte{1})
		}
		_ = near.Close() // which ends the other one's reading, in any case
	})
	other := tls.Client(far, c)
	_, err = other.Read(make([]byte, 1))
	_ = far.Close()
	serving.Wait()
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	host, err := fleet.PeerHost(conn.ConnectionState())
	if host != client.Host() {
		t.Errorf("the other end is %q, %v", host, err)
	}
	if v := conn.ConnectionState().Version; v != tls.VersionTLS13 {
		t.Errorf("version %x of TLS", v)
	}
	return err
}

func TestHostsOfOneFleetMeet(t *testing.T) {
	ca, dir := newCA(t)
	a := load(t, issue(t, ca, "a"))
	again, err := fleet.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := load(t, issue(t, again, "rack-7.example"))
	if a.Host() != "a" || b.Host() != "rack-7.example" {
		t.Errorf("they are %q and %q", a.Host(), b.Host())
	}
	if left := time.Until(a.Expires()); left > fleet.DefaultLifetime || left < fleet.DefaultLifetime-time.Hour {
		t.Errorf("it is valid for %v", left)
	}
	for _, want := range []string{"", "a"} {
		if err := meet(t, a, b, want); err != nil {
			t.Error(err)
		}
	}
	if err := meet(t, a, b, "c"); err == nil || !strings.Contains(err.Error(), "the other end is the host a, expected c") {
		t.Errorf("%v", err)
	}
	other, _ := newCA(t)
	stranger := load(t, issue(t, other, "a"))
	for _, pair := range [][2]*fleet.Credentials{{a, stranger}, {stranger, a}} {
		if err := meet(t, pair[0], pair[1], ""); err == nil || !strings.Contains(err.Error(), "not a host of this fleet") {
			t.Errorf("%v", err)
		}
	}
}

func TestNewCAKeepsWhatIsThere(t *testing.T) {
	ca, dir := newCA(t)
	before, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.NewCA(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "ca.key")); !bytes.Equal(before, after) {
		t.Errorf("there is another key, %v", err)
	}
	if err := ca.Issue("a", dir, time.Hour); err == nil || !strings.Contains(err.Error(), "whose key no host is to have") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "A", "a_b", "ä", "a/b", strings.Repeat("a", 64)} {
		if err := ca.Issue(name, t.TempDir(), time.Hour); err == nil || !strings.Contains(err.Error(), "expected 1 to 63") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := ca.Issue("a", t.TempDir(), 0); err == nil {
		t.Error("a certificate for no time")
	}
}

// broken are ways in which a host's folder cannot be used, and what is said of each.
func broken(t *testing.T, ca *fleet.CA) map[string]func(dir string) {
	t.Helper()
	other, otherDir := newCA(t)
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) func(string) {
		return func(dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
	}
	return map[string]func(dir string){
		"ca.pem: no such file":        remove("ca.pem"),
		"host.pem: no such file":      remove("host.pem"),
		"host.key: no such file":      remove("host.key"),
		"ca.pem has no certificate":   func(dir string) { write(dir, "ca.pem", "-----BEGIN") },
		"failed to find any PEM data": func(dir string) { write(dir, "host.pem", "text") },
		"does not match":              func(dir string) { put(t, issue(t, ca, "a"), dir, "host.key") },
		"was not issued by the CA of": func(dir string) { put(t, otherDir, dir, "ca.pem") },
		"others can read":             func(dir string) { chmod(t, filepath.Join(dir, "host.key"), 0o640) },
		"host.pem expired at":         func(dir string) { put(t, expired(t, ca, "a"), dir, "host.pem", "host.key") },
		"is not a file":               func(dir string) { remove("host.key")(dir); mkdir(t, filepath.Join(dir, "host.key")) },
		"not issued by the CA":        func(dir string) { put(t, issue(t, other, "a"), dir, "host.pem", "host.key") },
		"is not that of a host":       func(dir string) { put(t, otherDir, dir, "ca.pem"); asHost(t, otherDir, dir) },
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Error(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Error(err)
	}
}

// asHost gives a host the certificate of a CA as its own.
func asHost(t *testing.T, ca, dir string) {
	t.Helper()
	for from, to := range map[string]string{"ca.pem": "host.pem", "ca.key": "host.key"} {
		text, err := os.ReadFile(filepath.Join(ca, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// expired makes the folder of a host whose certificate has expired.
func expired(t *testing.T, ca *fleet.CA, host string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "expired")
	if err := ca.Issue(host, dir, 1); err != nil { // a nanosecond: certificates count seconds
		t.Fatal(err)
	}
	return dir
}

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	ca, _ := newCA(t)
	all := broken(t, ca)
	if os.Geteuid() == 0 { // else nobody can give a file away
		all["expected a file of this user's"] = func(dir string) {
			if err := os.Chown(filepath.Join(dir, "host.key"), 1, 1); err != nil {
				t.Error(err)
			}
		}
	}
	for want, spoil := range all {
		t.Run(want, func(t *testing.T) {
			dir := issue(t, ca, "a")
			spoil(dir)
			if _, err := fleet.LoadCredentials(dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// told has slog's default write into a text, for as long as the test lasts.
func told(t *testing.T) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &text
}

// New files are used from the next handshake on. Files that cannot be used are told once, and those of before stay in use.
func TestCredentialsAreReadAgain(t *testing.T) {
	ca, _ := newCA(t)
	b := load(t, issue(t, ca, "b"))
	for want, spoil := range broken(t, ca) {
		t.Run(want, func(t *testing.T) {
			log := told(t)
			dir := issue(t, ca, "a")
			a := load(t, dir)
			if err := ca.Issue("a", dir, 2*fleet.DefaultLifetime); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(a.Expires()); left < fleet.DefaultLifetime+time.Hour {
				t.Errorf("the new certificate is not used: %v left", left)
			}
			spoil(dir)
			for range 3 {
				if err := meet(t, a, b, "a"); err != nil {
					t.Errorf("what was read before is not used: %v", err)
				}
			}
			if n := strings.Count(log.String(), "new credentials cannot be used"); n != 1 || !strings.Contains(log.String(), want) {
				t.Errorf("it was told %d times: %s", n, log)
			}
			put(t, issue(t, ca, "a"), dir, "ca.pem")
			_ = os.RemoveAll(filepath.Join(dir, "host.key")) // it may be a folder
			if err := ca.Issue("a", dir, 3*fleet.DefaultLifetime); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(a.Expires()); left < 2*fleet.DefaultLifetime+time.Hour {
				t.Errorf("the mended certificate is not used: %v left", left)
			}
		})
	}
}

func TestCredentialsStayTheHosts(t *testing.T) {
	log := told(t)
	ca, _ := newCA(t)
	dir := issue(t, ca, "a")
	a := load(t, dir)
	put(t, issue(t, ca, "b"), dir, "host.pem", "host.key")
	if _, err := a.TLS(""); err != nil || a.Host() != "a" || !strings.Contains(log.String(), `but for b`) {
		t.Errorf("it is %q, %v: %s", a.Host(), err, log)
	}
}

// A fleet changes from one CA to another while its hosts run.
func TestTwoCAsAtOnce(t *testing.T) {
	old, oldDir := newCA(t)
	next, nextDir := newCA(t)
	dirA, dirB := issue(t, old, "a"), issue(t, old, "b")
	a, b := load(t, dirA), load(t, dirB)
	both := func(dir string) {
		t.Helper()
		var all []byte
		for _, ca := range []string{oldDir, nextDir} {
			text, err := os.ReadFile(filepath.Join(ca, "ca.pem"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := []func(){
		func() { both(dirA) },
		func() { both(dirB) },
		func() { put(t, issue(t, next, "a"), dirA, "host.pem", "host.key") },
		func() { put(t, issue(t, next, "b"), dirB, "host.pem", "host.key") },
		func() { put(t, nextDir, dirA, "ca.pem") },
		func() { put(t, nextDir, dirB, "ca.pem") },
	}
	for i, step := range steps {
		step()
		if err := errors.Join(meet(t, a, b, "a"), meet(t, b, a, "b")); err != nil {
			t.Errorf("after step %d: %v", i+1, err)
		}
	}
	if err := meet(t, a, load(t, issue(t, old, "c")), ""); err == nil {
		t.Error("a host of the old CA is let in")
	}
}

// A certificate that expires while it is in use is used no more, and a new one is.
func TestCredentialsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := told(t)
		ca, _ := newCA(t)
		dir := issue(t, ca, "a")
		a := load(t, dir)
		chmod(t, filepath.Join(dir, "host.key"), 0o644)
		time.Sleep(fleet.DefaultLifetime - time.Hour)
		if _, err := a.TLS(""); err != nil {
			t.Errorf("it has not expired yet: %v", err)
		}
		time.Sleep(2 * time.Hour)
		for range 2 {
			_, err := a.TLS("")
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("expired at %v", a.Expires())) || !strings.Contains(err.Error(), "others can read") {
				t.Errorf("%v", err)
			}
		}
		if n := strings.Count(log.String(), "new credentials cannot be used"); n != 1 {
			t.Errorf("it was told %d times: %s", n, log)
		}
		if err := ca.Issue("a", dir, time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := a.TLS(""); err != nil {
			t.Errorf("the new one is not used: %v", err)
		}
		time.Sleep(11 * 365 * 24 * time.Hour)
		if err := ca.Issue("a", dir, time.Hour); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("a CA that has expired issues certificates: %v", err)
		}
	})
}
