package process

import (
	"strings"
	"testing"
)

func TestF03_HandshakeLines(t *testing.T) {
	cert := strings.Repeat("Q", 900)
	for _, c := range []struct {
		line      string
		certAsked bool
		fault     string // "" is a good line
	}{
		{"1|1|unix|/tmp/plugin1|grpc", false, ""},
		{"1|1|unix|/tmp/plugin1|grpc|", false, ""},
		{"1|1|unix|/tmp/plugin1|grpc||true", false, ""},
		{"1|1|unix|/tmp/plugin1|grpc\r", false, ""},
		{"1|1|unix|/tmp/plugin1", false, ""},
		{"1|7|tcp|127.0.0.1:1234|netrpc", false, ""},
		{"1|7|tcp|[::1]:1234|grpc", false, ""},
		{"1|7|tcp|localhost:1234|grpc", false, ""},
		{"9|7|tcp|localhost:1234|grpc", false, ""}, // go-plugin says that best
		{"1|1|unix|/tmp/p|grpc|" + cert, true, ""},
		{"1|1|unix|/tmp/p|grpc|" + cert, false, "not asked for"},
		{"1|1|unix|/tmp/p|grpc|short", false, "not asked for"},
		{"", false, "1 of at least 4"},
		{"hello world", false, "1 of at least 4"},
		{"a|1|unix|/tmp/p", false, "is not a number"},
		{"1|-1|unix|/tmp/p", false, "is not a number"},
		{"1|1|unix|", false, "path of 1 to"},
		{"1|1|unix|" + strings.Repeat("x", 108), false, "path of 1 to"},
		{"1|1|tcp|127.0.0.1", false, "not of the form host:port"},
		{"1|1|tcp|127.0.0.1:99999", false, "not of the form host:port"},
		{"1|1|tcp|example.org:80", false, "this machine"},
		{"1|1|tcp|10.0.0.1:80", false, "this machine"},
		{"1|1|udp|127.0.0.1:80", false, "neither unix nor tcp"},
		{"1|1|unix|/tmp/\x00|grpc", false, "not printable text"},
		{"1|1|unix|/tmp/\xff|grpc", false, "not printable text"},
		{"\x1b[31m1|1|unix|/tmp/p", false, "not printable text"},
	} {
		err := checkHandshake([]byte(c.line), false, c.certAsked)
		switch {
		case err == nil && c.fault == "":
		case err == nil:
			t.Errorf("%q is taken", c.line)
		case c.fault == "" || !strings.Contains(err.Error(), c.fault):
			t.Errorf("%q: %v", c.line, err)
		case strings.ContainsAny(err.harmless(), "|\n") || len(err.harmless()) > 1000:
			t.Errorf("%q is shown as %q", c.line, err.harmless())
		}
	}
	if err := checkHandshake([]byte(strings.Repeat("1|", maxHandshake/2)), true, false); err == nil || len(err.Got) > maxQuoted+10 {
		t.Error(err)
	}
}

// FuzzF03 looks for a line that is taken though go-plugin would stumble.
func FuzzF03_Handshake(f *testing.F) {
	f.Add([]byte("1|1|unix|/tmp/plugin1|grpc"))
	f.Add([]byte("1|1|tcp|127.0.0.1:1|grpc|cert|true"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if err := checkHandshake(line, false, false); err != nil {
			if strings.ContainsAny(err.harmless(), "|\n\r\x00") {
				t.Errorf("%q", err.harmless())
			}
			return
		}
		fields := strings.Split(strings.TrimSpace(string(line)), "|")
		if len(fields) < 4 || len(fields) > 5 && fields[5] != "" {
			t.Errorf("%q is taken", line)
		}
	})
}
