package process

import "os"

// pipes are the descriptors between host and child. Every one of them is
// opened close-on-exec, so that no other child inherits it.
type pipes struct {
	host   child
	child  []*os.File // by number: stdin, stdout, stderr, lifeline; the host closes them after the fork
	guards []*os.File // what aimLifeline aims
}

// openPipes opens all of them or none.
func openPipes() (_ *pipes, err error) {
	p := &pipes{}
	defer func() {
		if err != nil {
			p.host.close()
			closeAll(p.child...)
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	p.child = append(p.child, null)
	if p.host.stdout, err = p.output(); err != nil {
		return nil, err
	}
	if p.host.stderr, err = p.output(); err != nil {
		return nil, err
	}
	err = p.openLifeline()
	return p, err
}

// output opens a pipe that the child writes and the host reads.
func (p *pipes) output() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.child = append(p.child, w)
	return r, nil
}

// closeAll closes whichever of the files are open.
func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
