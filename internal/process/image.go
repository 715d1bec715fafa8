package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

var errNotRegular = errors.New("not a regular file")

// ChecksumError is a program file that is not the expected one.
type ChecksumError struct {
	Want, Got string // SHA-256 in hex
}

// Error shows both sums.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("checksum mismatch: expected sha256 %s, the file has %s; "+
		"if the file is the right one, correct the sum in the configuration", e.Want, e.Got)
}

// openImage opens the program and compares its checksum. Without a sum there
// is nothing to open. The file that it returns is the caller's: on Linux it is executed by its
// descriptor, so that what was checked and what runs are one file, whatever the path names by then.
func openImage(ctx context.Context, path, sum string) (_ *os.File, err error) {
	if sum == "" {
		return nil, nil
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("checksum %q: expected the 64 hex digits of a sha256", sum)
	}
	// O_NONBLOCK: to open a named pipe would otherwise take until it has a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := checkImage(ctx, file, sum); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// checkImage reads the file and compares.
func checkImage(ctx context.Context, file *os.File, want string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNotRegular
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, ctxReader{ctx, file}); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(got, want) {
		return &ChecksumError{Want: strings.ToLower(want), Got: got}
	}
	return nil
}

// ctxReader gives up when ctx ends: a program may be large and its disk slow.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(b)
}
