package artifact

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Incoming is a file that is received.
type Incoming struct {
	Name, Version string
	Kind          Kind
	// SHA256 is what it must have, in lower-case hex; empty: whatever it has.
	SHA256 string
	// Limit is the largest size, in bytes.
	Limit int64
	// Agree is asked when all bytes are there and right, before the catalogue
	// changes; an error leaves it as it was. nil = nobody is asked.
	Agree func() error
}

// check tells what can be told before a byte has come.
func (in Incoming) check() error {
	if err := checkName(in.Name); err != nil {
		return err
	}
	if !kindForm.MatchString(string(in.Kind)) || !versionForm.MatchString(in.Version) {
		return fmt.Errorf("%q: %w", in.Name, ErrKind)
	}
	if in.SHA256 != "" && !sumForm.MatchString(in.SHA256) {
		return fmt.Errorf("%q: %w: not 64 lower-case hex digits", in.Name, ErrChecksum)
	}
	return nil
}

// Receive is Register for bytes that come from elsewhere. The catalogue has all
// of them under the name, or is as it was: also after a crash. Errors: ErrName,
// ErrKind, ErrChecksum, ErrTooLarge, that of Agree, and those of src and of the
// disk.
func (c *Catalogue) Receive(ctx context.Context, in Incoming, src io.Reader) (Artifact, error) {
	if err := in.check(); err != nil {
		return Artifact{}, err
	}
	a := Artifact{Name: in.Name, Version: in.Version, Kind: in.Kind}
	// One byte more than is accepted tells the one from the other.
	tmp, err := c.copyIn(ctx, &a, io.LimitReader(src, in.Limit+1))
	if tmp != "" {
		defer os.Remove(tmp) // gone already when all went well
	}
	switch {
	case err != nil:
		return Artifact{}, fmt.Errorf("receive %q: %w", in.Name, err)
	case a.Size > in.Limit:
		return Artifact{}, fmt.Errorf("receive %q: %w: at most %d bytes", in.Name, ErrTooLarge, in.Limit)
	case in.SHA256 != "" && a.SHA256 != in.SHA256:
		return Artifact{}, fmt.Errorf("receive %q: %w: %d bytes came, with %s", in.Name, ErrChecksum, a.Size, a.SHA256)
	}
	if in.Agree != nil {
		if err := in.Agree(); err != nil {
			return Artifact{}, err
		}
	}
	if a, err = c.enter(a, tmp); err != nil {
		return Artifact{}, fmt.Errorf("receive %q: %w", in.Name, err)
	}
	return a, nil
}
