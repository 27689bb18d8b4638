package machine

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"
)

// console keeps the end of what a machine printed, and logs it line by line (at
// debug: a console is long).
type console struct {
	log *slog.Logger
	max int // bytes kept

	mu   sync.Mutex
	text []byte
	cut  bool   // text does not begin where the machine's life did
	line []byte // the unfinished line, for the log
}

// maxLine is where a line without end is cut for the log.
const maxLine = 8 << 10

// Write implements io.Writer; it never fails.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p...)
	if len(c.text) > 2*c.max { // cut seldom, so that a write costs what it writes
		c.text = append(c.text[:0], c.text[len(c.text)-c.max:]...)
		c.cut = true
	}
	c.line = append(c.line, p...)
	for {
		line, rest, ok := bytes.Cut(c.line, []byte{'\n'})
		if !ok && len(c.line) <= maxLine {
			return len(p), nil
		}
		if !ok {
			line, rest = c.line[:maxLine], c.line[maxLine:]
		}
		if s := strings.TrimRight(string(line), "\r"); s != "" {
			c.log.Debug("console", "line", strings.ToValidUTF8(s, "\uFFFD"))
		}
		c.line = append([]byte(nil), rest...)
	}
}

// tail is what is kept, cut at the beginning of a line when something is gone.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, cut := c.text, c.cut
	if len(text) > c.max {
		text, cut = text[len(text)-c.max:], true
	}
	if cut {
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	if utf8.Valid(text) {
		return string(text)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
