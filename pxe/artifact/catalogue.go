package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	indexName = "index.json"
	lockName  = "index.lock"
	filesDir  = "files"

	tempPrefix = ".new-"
	tempAge    = 24 * time.Hour // no copy takes that long: older ones are left-overs
)

// Catalogue is a directory of artifacts. It is safe for concurrent use, and
// several processes may open the same directory: writers exclude each other by
// a file lock, readers notice a replaced index.
type Catalogue struct {
	dir  string
	root *os.Root
	log  *slog.Logger
	now  func() time.Time

	write sync.Mutex // one writer of this process; the file lock keeps out others

	mu    sync.Mutex // guards what follows
	rows  map[string]Artifact
	stamp fs.FileInfo // of the index that rows came from; nil: there was none
}

// Option changes how a catalogue works.
type Option func(*Catalogue)

// WithLogger sets where broken artifacts and failed deliveries are logged.
func WithLogger(log *slog.Logger) Option { return func(c *Catalogue) { c.log = log } }

// WithClock sets the source of registration times.
func WithClock(now func() time.Time) Option { return func(c *Catalogue) { c.now = now } }

// Open opens the catalogue in dir and makes the directory when it is missing.
// An index that cannot be read is an error: it is never overwritten by guess.
func Open(dir string, opts ...Option) (*Catalogue, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact catalogue: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(abs, filesDir), 0o755); err != nil {
		return nil, fmt.Errorf("open artifact catalogue: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open artifact catalogue: %w", err)
	}
	c := &Catalogue{dir: abs, root: root, log: slog.Default(), now: time.Now}
	for _, o := range opts {
		o(c)
	}
	_, err = c.load()
	if err := errors.Join(err, c.sweep()); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("open artifact catalogue: %w", err)
	}
	return c, nil
}

// Close releases the directory. Deliveries under way go on.
func (c *Catalogue) Close() error { return c.root.Close() }

// Get returns the artifact called name, also when it is broken. The error is
// ErrNotFound when there is none.
func (c *Catalogue) Get(name string) (Artifact, error) {
	rows, err := c.load()
	if err != nil {
		return Artifact{}, err
	}
	a, ok := rows[name]
	if !ok {
		return Artifact{}, fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	a.Broken = c.check(a)
	return a, nil
}

// List returns every artifact, by name; broken ones have Broken set.
func (c *Catalogue) List() ([]Artifact, error) {
	rows, err := c.load()
	if err != nil {
		return nil, err
	}
	out := make([]Artifact, 0, len(rows))
	for _, a := range rows {
		a.Broken = c.check(a)
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Register copies the file at path into the catalogue under name and returns
// its row; its SHA-256 is computed while copying, once. A name that exists
// already is replaced: deliveries under way finish with the old bytes.
func (c *Catalogue) Register(ctx context.Context, name, version string, kind Kind, path string) (Artifact, error) {
	return c.register(ctx, Artifact{Name: name, Version: version, Kind: kind}, path, false)
}

// Reference is Register without the copy, for images too large to keep twice.
// The file must stay where it is: once it is gone, or its size or modification
// time differ, the artifact is broken until it is registered again.
func (c *Catalogue) Reference(ctx context.Context, name, version string, kind Kind, path string) (Artifact, error) {
	return c.register(ctx, Artifact{Name: name, Version: version, Kind: kind}, path, true)
}

func (c *Catalogue) register(ctx context.Context, a Artifact, path string, reference bool) (Artifact, error) {
	if err := checkName(a.Name); err != nil {
		return Artifact{}, err
	}
	src, info, err := openRegular(path, os.OpenFile)
	if err != nil {
		return Artifact{}, fmt.Errorf("register %q: %w: %w", a.Name, ErrFile, err)
	}
	defer src.Close()
	tmp := ""
	if reference {
		err = c.reference(ctx, &a, src, info, path)
	} else {
		tmp, err = c.copyIn(ctx, &a, src)
		defer os.Remove(tmp) // gone already when all went well
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("register %q: %w", a.Name, err)
	}
	if a, err = c.enter(a, tmp); err != nil {
		return Artifact{}, fmt.Errorf("register %q: %w", a.Name, err)
	}
	return a, nil
}

// enter writes the row of a, and makes tmp, if it is a copy, the file that the
// row names.
func (c *Catalogue) enter(a Artifact, tmp string) (Artifact, error) {
	a.Registered = c.now().UTC().Truncate(time.Microsecond)
	return a, c.change(func(rows map[string]Artifact) error {
		rows[a.Name] = a
		if tmp == "" {
			return nil
		}
		// Under the writers' lock, so that no Remove of the same content sweeps
		// the copy before the index names it.
		if err := os.Rename(tmp, filepath.Join(c.dir, a.File)); err != nil {
			return err
		}
		return syncDir(filepath.Join(c.dir, filesDir))
	})
}

// reference fills a from a file that stays where it is.
func (c *Catalogue) reference(ctx context.Context, a *Artifact, src *os.File, before fs.FileInfo, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if a.SHA256, a.Size, err = sum(ctx, io.Discard, src); err != nil {
		return err
	}
	after, err := src.Stat()
	if err != nil {
		return err
	}
	if after.Size() != a.Size || !after.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%w: %s changed while it was read", ErrFile, abs)
	}
	a.File, a.Modified = abs, after.ModTime().UTC()
	return nil
}

// copyIn copies src to a temporary file, which it returns, so that a half-written
// copy never has a content's name.
func (c *Catalogue) copyIn(ctx context.Context, a *Artifact, src io.Reader) (string, error) {
	tmp, err := os.CreateTemp(filepath.Join(c.dir, filesDir), tempPrefix+"*")
	if err != nil {
		return "", err
	}
	defer tmp.Close()
	if a.SHA256, a.Size, err = sum(ctx, tmp, src); err != nil {
		return tmp.Name(), err
	}
	a.File = filesDir + "/" + a.SHA256
	return tmp.Name(), errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
}

// sweep deletes what copies left that were cut off by a crash.
func (c *Catalogue) sweep() error {
	list, err := os.ReadDir(filepath.Join(c.dir, filesDir))
	if err != nil {
		return err
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix) || c.now().Sub(info.ModTime()) < tempAge {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, filesDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Remove takes name out of the catalogue and deletes its copy unless another
// name has the same content. A referenced file is left alone. The error is
// ErrNotFound when there is no such name.
func (c *Catalogue) Remove(name string) error {
	err := c.change(func(rows map[string]Artifact) error {
		if _, ok := rows[name]; !ok {
			return fmt.Errorf("%q: %w", name, ErrNotFound)
		}
		delete(rows, name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove artifact: %w", err)
	}
	return nil
}

// OpenFile opens the bytes of an artifact for reading. The error is ErrNotFound
// or ErrBroken; the caller closes the file.
func (c *Catalogue) OpenFile(name string) (*os.File, Artifact, error) {
	rows, err := c.load()
	if err != nil {
		return nil, Artifact{}, err
	}
	a, ok := rows[name]
	if !ok {
		return nil, Artifact{}, fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	f, reason := c.open(a)
	if reason != "" {
		a.Broken = reason
		return nil, a, fmt.Errorf("%q: %w: %s", name, ErrBroken, reason)
	}
	return f, a, nil
}

// check returns why a cannot be served, or "".
func (c *Catalogue) check(a Artifact) string {
	f, reason := c.open(a)
	if f != nil {
		_ = f.Close()
	}
	return reason
}

// open opens the file of a and compares it with the row; the second result is
// why it cannot be served. The comparison is made on the open file, so that
// nothing can be swapped in between.
func (c *Catalogue) open(a Artifact) (*os.File, string) {
	open := os.OpenFile
	if !filepath.IsAbs(a.File) {
		open = c.root.OpenFile // a copy: no path or link can lead out of the directory
	}
	f, info, err := openRegular(a.File, open)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "file is missing"
	case err != nil:
		return nil, "file cannot be opened: " + err.Error()
	case info.Size() != a.Size:
		_ = f.Close()
		return nil, fmt.Sprintf("file has %d bytes, registered were %d", info.Size(), a.Size)
	case !a.Modified.IsZero() && !info.ModTime().Equal(a.Modified):
		_ = f.Close()
		return nil, "file was modified after it was registered"
	}
	return f, ""
}

// openRegular opens a regular file for reading. O_NONBLOCK keeps a FIFO from
// blocking the open for ever; it has no effect on regular files.
func openRegular(path string, open func(string, int, fs.FileMode) (*os.File, error)) (*os.File, fs.FileInfo, error) {
	f, err := open(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// sum copies src to dst and returns the SHA-256 and the number of bytes.
func sum(ctx context.Context, dst io.Writer, src io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(dst, h), contextReader{ctx, src}, make([]byte, 256<<10))
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// contextReader makes a long copy end when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
