package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Programs that hosts have sent are kept in trellis/shipped below the user's cache folder, each by its sum, as
// those are that were built (programs.go).
const (
	pieceOfProgram = 32 << 10 // bytes
	// windowOfProgram is what may be on its way: so little that whether its agent answers is known over a slow link, too.
	windowOfProgram = 256 << 10
	largestProgram  = 1 << 30
	mostShipping    = 8       // programs that are taken at once
	mostShipped     = 8 << 30 // bytes of all; those that were not used for longest go first
)

// shipped is the spec for an agent: programs that were built here are sent there, and replaced by where they are.
// What else a spec names is on the machine of the agent.
func (r *remote) shipped(ctx context.Context, a *machine) (spec Spec, err error) {
	spec = r.spec
	err = r.shipOne(ctx, a, &spec)
	return spec, err
}

// shipOne does so with the program of one spec.
func (r *remote) shipOne(ctx context.Context, a *machine, spec *Spec) error {
	if !isBuilt(*spec) {
		return nil
	}
	if err := rebuild(ctx, *spec); err != nil {
		return err
	}
	path, sum, err := r.ship(ctx, a, spec.Built.Program)
	if err != nil {
		return err
	}
	spec.Command = append([]string{path}, spec.Command[1:]...)
	spec.Built, spec.SHA256 = nil, sum
	return nil
}

// relocated is the part of the tree that the actor hosts, in the same way.
func (r *remote) relocated(ctx context.Context, tree []byte) ([]byte, error) {
	if len(tree) == 0 {
		return nil, nil
	}
	var t config.Tree
	if err := json.Unmarshal(tree, &t); err != nil {
		return nil, err
	}
	answering, stop := r.env.machines.answering(ctx, r.where())
	defer stop()
	if err := r.relocate(answering, t.Actors); err != nil {
		return nil, err
	}
	return json.Marshal(t)
}

func (r *remote) relocate(ctx context.Context, actors []Spec) error {
	for i := range actors {
		if err := r.shipOne(ctx, r.where(), &actors[i]); err != nil {
			return err
		}
		if err := r.relocate(ctx, actors[i].Actors); err != nil {
			return err
		}
	}
	return nil
}

// ship gives an agent a program, unless it has it, and says where it is there.
func (r *remote) ship(ctx context.Context, a *machine, program string) (path, sum string, err error) {
	if sum, err = process.Sum(ctx, program); err != nil {
		return "", "", err
	}
	if path, err = ask(ctx, r.env, func() (string, error) { return send(ctx, a, program, sum) }); err != nil {
		return "", "", fmt.Errorf("send the program %s: %w", filepath.Base(program), err)
	}
	return path, sum, nil
}

// send offers an agent a program, and says where it is there.
func send(ctx context.Context, a *machine, program, sum string) (path string, err error) {
	file, err := os.Open(program) //nolint:gosec // the config names it
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	offer := shipment{SHA256: sum, Name: filepath.Base(program), Size: info.Size()}
	return agentShip.Open(ctx, newPortal(a.child), offer, func(ctx context.Context, c *contract.Opener[bool, []byte, struct{}, string]) error {
		if !c.Value() { // it has it
			return nil
		}
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		defer stream.CloseSend()
		for {
			piece := make([]byte, pieceOfProgram)
			n, err := io.ReadFull(file, piece)
			if n > 0 {
				if err := stream.Send(ctx, piece[:n]); err != nil {
					return err
				}
				a.takes.Store(true)
			}
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return nil
			case err != nil:
				return err
			}
		}
	})
}

// The agent's end.

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// errNoPrograms is what an agent refuses programs with that does not take any (AgentOptions.AcceptPrograms).
var errNoPrograms = errors.New("this agent takes no programs from its hosts: start it with AcceptPrograms, or --accept-programs")

type shipCallee = contract.Callee[bool, []byte, struct{}]

// accept takes a program, unless it is here, and says where it is.
func (s *seat) accept(ctx context.Context, o shipment, c *shipCallee) (path string, err error) {
	switch {
	case !s.AcceptPrograms:
		return "", errNoPrograms
	case !sumForm.MatchString(o.SHA256) || o.Size < 0 || o.Size > largestProgram:
		return "", fmt.Errorf("a program of %d bytes with the sum %.70q: expected at most %d bytes, and 64 hex digits", o.Size, o.SHA256, largestProgram)
	}
	folder, err := rundir.CacheFolder("shipped")
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, o.SHA256)
	if sum, err := process.Sum(ctx, path); err == nil && sum == o.SHA256 {
		now := time.Now()
		return path, errors.Join(os.Chtimes(path, now, now), c.Started(false))
	}
	select {
	case s.shipping <- struct{}{}:
		defer func() { <-s.shipping }()
	default:
		return "", fmt.Errorf("%w: %d programs are sent to this agent already", fault.ErrOverloaded, mostShipping)
	}
	if err := trimShipped(folder, o.Size); err != nil {
		return "", err
	}
	if err := c.Started(true); err != nil {
		return "", err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return "", err
	}
	return path, receiveProgram(ctx, stream, o, path)
}

// receiveProgram writes what comes into a file of its own, and puts that in place if it is what was announced.
func receiveProgram(ctx context.Context, stream *contract.Stream[struct{}, []byte], o shipment, path string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "fresh-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	sum := sha256.New()
	if err := copyProgram(ctx, stream, io.MultiWriter(file, sum), o.Size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != o.SHA256 {
		return fmt.Errorf("the program %.100q has the sum %s, expected %s", o.Name, got, o.SHA256)
	}
	if err := file.Chmod(0o700); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func copyProgram(ctx context.Context, stream *contract.Stream[struct{}, []byte], to io.Writer, size int64) error {
	left := size
	for piece, err := range stream.All(ctx) {
		if err != nil {
			return err
		}
		if left -= int64(len(piece)); left < 0 {
			return fmt.Errorf("a program is larger than the %d bytes that were announced", size)
		}
		if _, err := to.Write(piece); err != nil {
			return err
		}
	}
	if left > 0 {
		return fmt.Errorf("%d of %d bytes of a program are missing", left, size)
	}
	return nil
}

// trimShipped makes room for a program: what was not used for longest goes first. Programs that run keep their files.
func trimShipped(folder string, more int64) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	total := more
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		files = append(files, info)
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= mostShipped {
			break
		}
		if err := os.Remove(filepath.Join(folder, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= f.Size()
	}
	return nil
}
