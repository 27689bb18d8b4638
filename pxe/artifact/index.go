package artifact

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// index is the form of index.json.
type index struct {
	Artifacts []Artifact `json:"artifacts"`
}

// load returns the rows of the index as it is on disk now; the file is parsed
// again only when it was replaced. The map must not be changed.
func (c *Catalogue) load() (map[string]Artifact, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.root.Open(indexName)
	if errors.Is(err, fs.ErrNotExist) {
		c.rows, c.stamp = map[string]Artifact{}, nil
		return c.rows, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read artifact index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read artifact index: %w", err)
	}
	if c.stamp != nil && os.SameFile(info, c.stamp) &&
		info.Size() == c.stamp.Size() && info.ModTime().Equal(c.stamp.ModTime()) {
		return c.rows, nil
	}
	var idx index
	if err := json.NewDecoder(f).Decode(&idx); err != nil {
		return nil, fmt.Errorf("read artifact index %s: %w", f.Name(), err)
	}
	rows := make(map[string]Artifact, len(idx.Artifacts))
	for _, a := range idx.Artifacts {
		if err := checkRow(a); err != nil {
			return nil, fmt.Errorf("read artifact index %s: %w", f.Name(), err)
		}
		rows[a.Name] = a
	}
	c.rows, c.stamp = rows, info
	return rows, nil
}

// checkRow refuses an index that somebody edited into nonsense.
func checkRow(a Artifact) error {
	if err := checkName(a.Name); err != nil {
		return err
	}
	if b, err := hex.DecodeString(a.SHA256); err != nil || len(b) != 32 || a.SHA256 != strings.ToLower(a.SHA256) {
		return fmt.Errorf("%q: sha256 is not 64 lower-case hex digits", a.Name)
	}
	if a.Size < 0 || a.File == "" {
		return fmt.Errorf("%q: no file or a negative size", a.Name)
	}
	return nil
}

// change applies edit to a copy of the rows and replaces the index; copies that
// no row names any more are deleted after that.
func (c *Catalogue) change(edit func(map[string]Artifact) error) error {
	c.write.Lock()
	defer c.write.Unlock()
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	old, err := c.load()
	if err != nil {
		return err
	}
	rows := maps.Clone(old)
	if err := edit(rows); err != nil {
		return err
	}
	if err := c.store(rows); err != nil {
		return err
	}
	used := map[string]bool{}
	for _, a := range rows {
		used[a.File] = true
	}
	for _, a := range old {
		if !used[a.File] && !filepath.IsAbs(a.File) {
			if err := c.root.Remove(a.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.log.Warn("old artifact file was not deleted", "file", a.File, "error", err)
			}
		}
	}
	return nil
}

// lock takes the lock that writers of all processes share.
func (c *Catalogue) lock() (func(), error) {
	f, err := c.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock artifact index: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock artifact index: %w", err)
	}
	return func() { _ = f.Close() }, nil // closing ends the lock
}

// store replaces the index: temporary file, fsync, rename, fsync of the
// directory, so that a crash leaves the old index or the new one.
func (c *Catalogue) store(rows map[string]Artifact) error {
	list := slices.SortedFunc(maps.Values(rows), func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
	data, err := json.MarshalIndent(index{Artifacts: list}, "", "  ")
	if err != nil {
		return fmt.Errorf("write artifact index: %w", err)
	}
	tmp, err := os.CreateTemp(c.dir, ".index-*")
	if err != nil {
		return fmt.Errorf("write artifact index: %w", err)
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(append(data, '\n'))
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write artifact index: %w", err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(c.dir, indexName)); err != nil {
		return fmt.Errorf("write artifact index: %w", err)
	}
	if err := syncDir(c.dir); err != nil {
		return fmt.Errorf("write artifact index: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
