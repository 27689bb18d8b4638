package ident

import (
	"strconv"
	"strings"
)

// Kind is the type tag of an id.
type Kind string

// The kinds of things that have a global id.
const (
	Node       Kind = "node" // a machine
	Deployment Kind = "dep"
	Event      Kind = "evt"
	Batch      Kind = "bat"
	Run        Kind = "run" // of the deployment script
	Bulk       Kind = "bulk"
	Cluster    Kind = "clu"
	Token      Kind = "tok" // API token
	Session    Kind = "ses"
)

// Format gives the global id of a thing.
func Format(k Kind, id int64) string { return string(k) + "_" + strconv.FormatInt(id, 10) }

// Parse takes a global id apart. ok is false for everything that Format does
// not give.
func Parse(s string) (k Kind, id int64, ok bool) {
	tag, digits, found := strings.Cut(s, "_")
	if !found || len(digits) > 19 {
		return "", 0, false
	}
	switch k = Kind(tag); k {
	case Node, Deployment, Event, Batch, Run, Bulk, Cluster, Token, Session:
	default:
		return "", 0, false
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != digits {
		return "", 0, false
	}
	return k, id, true
}

// Of gives the database id of a global id of kind k; ok is false for an id of
// another kind as well.
func Of(k Kind, s string) (id int64, ok bool) {
	got, id, ok := Parse(s)
	return id, ok && got == k
}
