package hostconfig

import (
	"bytes"
	"strings"
)

// The kinds of a Change.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one value that differs between two documents.
type Change struct {
	Path   string `json:"path"` // in the document, with the grammar of field paths: "using_interfaces.interface_01.vlan_id"; empty for the whole
	Kind   string `json:"kind"`
	Before string `json:"before,omitempty"` // texts as they are, everything else as JSON
	After  string `json:"after,omitempty"`
}

// leaf is a value that is compared as a whole: a list too.
type leaf struct {
	path, text, exact string
}

// Diff tells what differs between two files, in the order of the later one; what
// was removed follows its former neighbour. The order of fields and white space
// do not count. A file that is empty has nothing; one that cannot be read is
// compared as a whole, by its bytes.
func Diff(before, after []byte) []Change {
	old, okOld := leaves(before)
	now, okNow := leaves(after)
	if !okOld || !okNow {
		if bytes.Equal(before, after) {
			return nil
		}
		return []Change{whole(string(before), string(after))}
	}
	is := map[string]bool{}
	for _, l := range now {
		is[l.path] = true
	}
	was := map[string]leaf{}
	gone := map[string][]Change{} // by the path of the neighbour that stayed
	neighbour := ""
	for _, l := range old {
		was[l.path] = l
		if is[l.path] {
			neighbour = l.path
		} else {
			gone[neighbour] = append(gone[neighbour], Change{Path: l.path, Kind: Removed, Before: l.text})
		}
	}
	out := gone[""]
	for _, l := range now {
		w, there := was[l.path]
		switch {
		case !there:
			out = append(out, Change{Path: l.path, Kind: Added, After: l.text})
		case w.exact != l.exact && w.text == l.text:
			out = append(out, Change{Path: l.path, Kind: Changed, Before: w.exact, After: l.exact})
		case w.exact != l.exact:
			out = append(out, Change{Path: l.path, Kind: Changed, Before: w.text, After: l.text})
		}
		out = append(out, gone[l.path]...)
	}
	return out
}

func whole(before, after string) Change {
	c := Change{Kind: Changed, Before: before, After: after}
	switch {
	case before == "":
		c.Kind = Added
	case after == "":
		c.Kind = Removed
	}
	return c
}

// leaves gives the values of a document by path, each path once.
func leaves(file []byte) ([]leaf, bool) {
	if len(bytes.TrimSpace(file)) == 0 {
		return nil, true
	}
	if len(file) > MaxBytes {
		return nil, false
	}
	tree, err := readTree(file)
	if err != nil || tree.kind != isObject {
		return nil, false
	}
	var out []leaf
	seen := map[string]bool{}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if n.kind == isObject && (len(n.items) > 0 || path == "") {
			for i, item := range n.items {
				walk(strings.TrimPrefix(path+"."+escapeAll(n.keys[i]), "."), item)
			}
			return
		}
		if seen[path] {
			return
		}
		seen[path] = true
		l := leaf{path: path, exact: string(encode(n.value()))}
		if l.text = l.exact; n.kind == isText {
			l.text = n.text
		}
		out = append(out, l)
	}
	walk("", tree)
	return out, true
}
