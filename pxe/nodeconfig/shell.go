package nodeconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The first and the last line of the shell rendering.
const (
	ShellHeader = "# slipway node configuration 1"
	ShellFooter = "# slipway node configuration end"
)

// ErrNUL is returned for a string that holds a NUL byte, which no shell
// variable can carry.
var ErrNUL = errors.New("string holds a NUL byte")

// Shell renders the document as shell assignments; see the package
// documentation for the rules. It fails with [ErrNUL], or when two members
// would get the same variable name.
func (c Config) Shell() ([]byte, error) {
	doc, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("node configuration: %w", err)
	}
	return flatten(doc)
}

// flatten turns any JSON document into assignments. It reads tokens rather than
// a map, so that the lines come in the order of the document.
func flatten(doc []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	f := flattener{dec: dec, seen: map[string]bool{}}
	f.out.WriteString(ShellHeader + "\n")
	if err := f.value("CFG"); err != nil {
		return nil, fmt.Errorf("node configuration: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("node configuration: more than one JSON value")
	}
	f.out.WriteString(ShellFooter + "\n")
	return f.out.Bytes(), nil
}

type flattener struct {
	dec  *json.Decoder
	out  bytes.Buffer
	seen map[string]bool
}

// value reads one JSON value and writes its lines under name.
func (f *flattener) value(name string) error {
	tok, err := f.dec.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			return f.object(name)
		}
		return f.array(name)
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("%s: %w", name, ErrNUL)
		}
		return f.assign(name, quote(v))
	case json.Number:
		return f.assign(name, v.String())
	case bool:
		if v {
			return f.assign(name, "1")
		}
		return f.assign(name, "0")
	default: // null has no line
		return nil
	}
}

func (f *flattener) object(name string) error {
	for f.dec.More() {
		key, err := f.dec.Token()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f.value(name + "_" + shellName(key.(string))); err != nil {
			return err
		}
	}
	_, err := f.dec.Token() // the closing brace
	return err
}

func (f *flattener) array(name string) error {
	n := 0
	for f.dec.More() {
		n++
		if err := f.value(name + "_" + strconv.Itoa(n)); err != nil {
			return err
		}
	}
	if _, err := f.dec.Token(); err != nil { // the closing bracket
		return err
	}
	return f.assign(name+"_COUNT", strconv.Itoa(n))
}

func (f *flattener) assign(name, value string) error {
	if f.seen[name] {
		return fmt.Errorf("two members are both called %s in the shell", name)
	}
	f.seen[name] = true
	f.out.WriteString(name + "=" + value + "\n")
	return nil
}

// quote puts s in single quotes. Inside them a shell expands nothing (POSIX
// 2.2.2); a single quote itself is written outside of them, escaped.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellName is the part of a variable name that a JSON key gives (POSIX 3.230:
// letters, digits and underscores).
func shellName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}
