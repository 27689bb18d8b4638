package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The log is kept in segments, each named by the offset of its first byte in all
// that was ever written. The first half of the limit is never given up; of the
// rest the oldest is, whole segments at a time. So offsets stay true, and the
// beginning and the end of the output are there.
const (
	segments     = 8 // of the limit
	headSegments = segments / 2
	tailSegments = segments - headSegments
	offsetDigits = 20
)

func segmentName(offset int64) string { return fmt.Sprintf("%0*d", offsetDigits, offset) }

// segment is a part of the log.
type segment struct{ start, size int64 }

func (s segment) end() int64 { return s.start + s.size }

// listSegments gives the parts of a log, by offset.
func listSegments(root *os.Root) ([]segment, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var found []segment
	for _, e := range entries {
		start, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || len(e.Name()) != offsetDigits {
			continue
		}
		info, err := root.Lstat(e.Name())
		if errors.Is(err, fs.ErrNotExist) { // given up meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, segment{start, info.Size()})
	}
	slices.SortFunc(found, func(a, b segment) int { return cmp.Compare(a.start, b.start) })
	return found, nil
}

// logWriter keeps output. It never fails: a script is not to be disturbed by a
// full disk. What could not be kept is missing, and counted.
type logWriter struct {
	root   *os.Root
	limit  int64
	parts  []segment
	file   *os.File // of the last part; nil if the next byte begins another one
	offset int64    // of the next byte
	// trouble is the first failure.
	trouble error
}

func newLogWriter(root *os.Root, limit int64) (*logWriter, error) {
	parts, err := listSegments(root)
	if err != nil {
		return nil, err
	}
	w := &logWriter{root: root, limit: limit, parts: parts}
	if n := len(parts); n > 0 {
		w.offset = parts[n-1].end()
	}
	return w, nil
}

// Write implements io.Writer.
func (w *logWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n, err := w.some(rest)
		if err != nil {
			w.trouble = cmp.Or(w.trouble, err)
			w.close()
			n = len(rest)
		}
		w.offset += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// some writes what fits in one part.
func (w *logWriter) some(p []byte) (int, error) {
	if w.file != nil {
		if last := w.parts[len(w.parts)-1]; last.size >= w.room(last) {
			w.close()
		}
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return 0, err
		}
	}
	last := &w.parts[len(w.parts)-1]
	n, err := w.file.Write(p[:min(int64(len(p)), w.room(*last)-last.size)])
	last.size += int64(n)
	if err != nil && last.size == 0 { // do not leave thousands of empty ones
		err = errors.Join(err, w.root.Remove(segmentName(last.start)))
		w.parts = w.parts[:len(w.parts)-1]
	}
	return n, err
}

// head is where that begins which may be given up.
func (w *logWriter) head() int64 { return w.limit / segments * headSegments }

// room is how large a part may become. None is partly kept for ever.
func (w *logWriter) room(s segment) int64 {
	size := w.limit / segments
	if s.start < w.head() {
		return min(size, w.head()-s.start)
	}
	return size
}

func (w *logWriter) open() (err error) {
	if err := w.giveUp(); err != nil {
		return err
	}
	w.file, err = w.root.OpenFile(segmentName(w.offset), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		w.parts = append(w.parts, segment{start: w.offset})
	}
	return err
}

// giveUp makes room for one more part.
func (w *logWriter) giveUp() error {
	first := slices.IndexFunc(w.parts, func(s segment) bool { return s.start >= w.head() })
	for first >= 0 && len(w.parts)-first >= tailSegments {
		if err := w.root.Remove(segmentName(w.parts[first].start)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.parts = slices.Delete(w.parts, first, first+1)
	}
	return nil
}

func (w *logWriter) close() {
	if w.file != nil {
		w.trouble = cmp.Or(w.trouble, w.file.Close())
		w.file = nil
	}
}

// LogSize tells how much output there was, and whether some of it is missing.
func LogSize(root *os.Root) (total int64, cut bool, err error) {
	parts, err := listSegments(root)
	for _, p := range parts {
		cut = cut || p.start != total
		total = p.end()
	}
	return total, cut, err
}

// missing is the line in place of output that is not there.
func missing(n int64) []byte {
	return fmt.Appendf(nil, "[slipway: %d bytes of output are not kept: the log had reached its limit, or the disk was full]\n", n)
}

// ReadLog reads output from an offset: limit bytes at most, and the offset that
// follows them. A line stands for what is missing.
func ReadLog(root *os.Root, offset int64, limit int) (text []byte, next int64, err error) {
	next = max(offset, 0)
	for range 3 { // the writer may give a part up between two looks
		parts, err := listSegments(root)
		if err != nil {
			return nil, next, err
		}
		text, after, err := readParts(root, parts, next, limit)
		if !errors.Is(err, fs.ErrNotExist) {
			return text, after, err
		}
	}
	return nil, next, nil
}

func readParts(root *os.Root, parts []segment, offset int64, limit int) (text []byte, next int64, err error) {
	next = offset
	for _, p := range parts {
		if p.end() <= next || len(text) >= limit {
			continue
		}
		if p.start > next {
			if len(text) > 0 { // the gap is told of next time
				break
			}
			line := missing(p.start - next)
			return line[:min(len(line), limit)], p.start, nil
		}
		b := make([]byte, min(int64(limit-len(text)), p.end()-next))
		f, err := root.Open(segmentName(p.start))
		if err != nil {
			return text, next, err
		}
		n, err := f.ReadAt(b, next-p.start)
		err = errors.Join(ignoreEOF(err), f.Close())
		text, next = append(text, b[:n]...), next+int64(n)
		if err != nil {
			return text, next, err
		}
	}
	if len(text) == limit {
		whole := wholeRunes(text)
		next -= int64(len(text) - len(whole))
		text = whole
	}
	return text, next, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// wholeRunes leaves out a character that is only begun at the end, as long as
// something is left.
func wholeRunes(b []byte) []byte {
	for back := 1; back < utf8.UTFMax && back < len(b); back++ {
		if c := b[len(b)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-back:]) {
				return b[:len(b)-back]
			}
			break
		}
	}
	return b
}
