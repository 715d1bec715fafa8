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
	file, got, err := openSummed(ctx, path)
	if err == nil && !strings.EqualFold(got, sum) {
		_ = file.Close()
		return nil, &ChecksumError{Want: strings.ToLower(sum), Got: got}
	}
	return file, err
}

// Sum is the SHA-256 of a program file, in hex, as the sha256 of an actor's config has it. It reads all of the
// file, unless ctx ends.
func Sum(ctx context.Context, path string) (string, error) {
	file, sum, err := openSummed(ctx, path)
	if err == nil {
		err = file.Close()
	}
	return sum, err
}

// openSummed opens a file and reads it. O_NONBLOCK: to open a named pipe would otherwise take until it has a writer.
func openSummed(ctx context.Context, path string) (_ *os.File, sum string, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // err says what is wrong
		}
	}()
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	hash := sha256.New()
	if err == nil {
		_, err = io.Copy(hash, ctxReader{ctx, file})
	}
	if err != nil {
		return nil, "", err
	}
	return file, hex.EncodeToString(hash.Sum(nil)), nil
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
