package control

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// greeting is what either end says once, before the frames of the link: a program its name and its
// endpoints, in a BootResponse, and the host who the program is, in a BootRequest, or why it
// cannot join. A connection that the host waits for has a token instead, and is answered with an
// empty greeting.
type greeting struct {
	Version int    `json:"version"`
	Boot    []byte `json:"boot,omitempty"`
	Fault   []byte `json:"fault,omitempty"`
	Token   []byte `json:"token,omitempty"` // of a tunnel: the connection is one that the host waits for
}

// On the wire a greeting has its length before it, so that its reader takes no more than that: what
// follows is the link's.
const (
	lengthSize   = 4
	mostGreeting = 1 << 20 // bytes
)

func write(conn net.Conn, m greeting) error {
	m.Version = wire.Version
	b := wire.NewBuffer(0)
	defer b.Free()
	if err := codecs.CBOR.Marshal(b, m, nil); err != nil {
		return err
	}
	if b.Len() > mostGreeting {
		return fmt.Errorf("a greeting of %d bytes; the limit is %d: are there too many endpoints?", b.Len(), mostGreeting)
	}
	length := binary.BigEndian.AppendUint32(make([]byte, 0, lengthSize), uint32(b.Len()))
	_, err := conn.Write(append(length, b.Bytes()...))
	return err
}

func read(conn net.Conn) (m greeting, err error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return m, noGreeting(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > mostGreeting {
		return m, fmt.Errorf("%w: a greeting of %d bytes; the limit is %d: is another kind of program at the other end?", fault.ErrProtocol, n, mostGreeting)
	}
	text, err := io.ReadAll(io.LimitReader(conn, int64(n))) // which takes memory as it comes
	if err == nil && len(text) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return m, noGreeting(err)
	}
	if err := codecs.CBOR.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: a greeting that cannot be read: %w", fault.ErrProtocol, err)
	}
	if m.Version != wire.Version {
		return m, fmt.Errorf("%w: the other program speaks version %d of the protocol, this one version %d; build both with the same version of Trellis",
			fault.ErrProtocol, m.Version, wire.Version)
	}
	return m, nil
}

var errClosed = errors.New("the other program has closed the connection before its greeting was there")

// noGreeting says what it means that none came.
func noGreeting(err error) error {
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("no greeting within %v: is another kind of program at the other end, or is it stopped?", patience)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	}
	return err
}

// boot is the host's answer.
func (m *greeting) boot() (*wire.BootRequest, error) {
	if len(m.Fault) > 0 {
		var f wire.Fault
		if err := proto.Unmarshal(m.Fault, &f); err != nil {
			return nil, err
		}
		return nil, fault.Unpack(&f)
	}
	var boot wire.BootRequest
	return &boot, proto.Unmarshal(m.Boot, &boot)
}

// within does something on a connection within patience, and within ctx, whose cause is the error
// if it has ended.
func within(ctx context.Context, conn net.Conn, do func() error) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // long ago: do ends
	err := do()
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}
