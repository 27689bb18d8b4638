package hostconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The limits of a request.
const (
	MaxBytes  = 256 << 10
	MaxCards  = 1000
	MaxErrors = 500

	maxDepth      = 8
	maxInterfaces = 32
	maxSegment    = 64
)

// The kinds of JSON values.
const (
	isObject = "an object"
	isList   = "a list"
	isText   = "a text"
	isNumber = "a number"
	isTruth  = "true or false"
	isNull   = "null"
)

// node is a JSON value that has kept its order, its repeated keys and its
// place.
type node struct {
	kind       string
	text       string // of a text, number or truth value
	keys       []string
	items      []*node // of a list, or beside keys
	start, end int64   // of an object, in the body
}

type tooDeepError struct{}

func (tooDeepError) Error() string { return fmt.Sprintf("nested deeper than %d levels", maxDepth) }

// readTree reads one JSON value that fills body.
func readTree(body []byte) (*node, error) {
	var all json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return readNode(dec, 1)
}

func readNode(dec *json.Decoder, depth int) (*node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, tooDeepError{}
		}
		return readItems(dec, depth, v == '{')
	case string:
		return &node{kind: isText, text: v}, nil
	case json.Number:
		return &node{kind: isNumber, text: v.String()}, nil
	case bool:
		return &node{kind: isTruth, text: fmt.Sprint(v)}, nil
	default:
		return &node{kind: isNull}, nil
	}
}

// readItems reads the rest of an object or a list.
func readItems(dec *json.Decoder, depth int, object bool) (*node, error) {
	n := &node{kind: isList, start: dec.InputOffset() - 1}
	if object {
		n.kind = isObject
	}
	for dec.More() {
		if object {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			n.keys = append(n.keys, fmt.Sprint(key))
		}
		item, err := readNode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token()
	n.end = dec.InputOffset()
	return n, err
}

// escape makes a name a segment of an error's path.
func escape(name string) string {
	return escapeAll(name[:min(len(name), maxSegment)])
}

// escapeAll makes a name a segment of a path, however long it is.
func escapeAll(name string) string {
	if name == "" {
		return "%" // nothing else is escaped to it
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// value gives what encode writes as the same JSON.
func (n *node) value() any {
	switch n.kind {
	case isObject:
		o := object{}
		for i, item := range n.items {
			o = append(o, member{n.keys[i], item.value()})
		}
		return o
	case isList:
		list := []any{}
		for _, item := range n.items {
			list = append(list, item.value())
		}
		return list
	case isText:
		return n.text
	case isNumber:
		return json.Number(n.text)
	case isTruth:
		return n.text == "true"
	}
	return nil
}
