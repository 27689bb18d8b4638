package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// objectReader reads the members of JSON objects and gathers every bad one.
type objectReader struct{ bad []deploy.FieldError }

func (o *objectReader) add(field string, code deploy.Code, message string) {
	o.bad = append(o.bad, deploy.FieldError{Field: field, Code: code, Message: message})
}

// complains tells whether something is wrong with a field already.
func (o *objectReader) complains(field string) bool {
	return slices.ContainsFunc(o.bad, func(f deploy.FieldError) bool { return f.Field == field })
}

// object reads a member that is an object; nil if it is missing or bad.
func (o *objectReader) object(in reportFields, name, path string, required bool) reportFields {
	raw, ok := in[name]
	if !ok || string(raw) == "null" {
		if required {
			o.add(path, deploy.CodeRequired, "is required")
		}
		return nil
	}
	var out reportFields
	if json.Unmarshal(raw, &out) != nil || out == nil {
		o.add(path, deploy.CodeInvalid, "must be an object")
		return nil
	}
	return out
}

// last is the member's name of a path.
func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// orderText is the longest text of an order, in bytes.
const orderText = 200

func (o *objectReader) text(in reportFields, path string) string {
	var p parsedReport
	s := in.text(&p, last(path))
	if len(p.bad) > 0 {
		o.add(path, deploy.CodeInvalid, p.bad[0].Message)
		return ""
	}
	return o.word(s, path)
}

// word checks a short printable text.
func (o *objectReader) word(s, path string) string {
	switch s = strings.TrimSpace(s); {
	case len(s) > orderText:
		o.add(path, deploy.CodeOutOfRange, fmt.Sprintf("is longer than %d bytes", orderText))
	case cleanText(s) != s || oneLine(s) != s:
		o.add(path, deploy.CodeInvalid, "must be printable text")
	default:
		return s
	}
	return ""
}

func (o *objectReader) list(in reportFields, path string) []string {
	raw, ok := in[last(path)]
	if !ok || string(raw) == "null" {
		return nil
	}
	var items []string
	if json.Unmarshal(raw, &items) != nil {
		o.add(path, deploy.CodeInvalid, "must be a list of strings")
		return nil
	}
	if len(items) > 64 {
		o.add(path, deploy.CodeOutOfRange, "has more than 64 entries")
		return nil
	}
	for i, s := range items {
		items[i] = o.word(s, path)
	}
	return items
}

func (o *objectReader) labels(in reportFields, path string) map[string]string {
	raw, ok := in[last(path)]
	if !ok || string(raw) == "null" {
		return nil
	}
	var out map[string]string
	if json.Unmarshal(raw, &out) != nil {
		o.add(path, deploy.CodeInvalid, "must be an object of strings")
		return nil
	}
	for k, v := range out {
		if cleanText(k) != k || cleanText(v) != v {
			o.add(path, deploy.CodeInvalid, "must be printable text")
			return nil
		}
	}
	return out
}

// vlans reads a list of VLANs.
func (o *objectReader) vlans(in reportFields, path string) []deploy.VLAN {
	raw, ok := in[last(path)]
	if !ok || string(raw) == "null" {
		return nil
	}
	var items []deploy.VLAN
	if json.Unmarshal(raw, &items) != nil {
		o.add(path, deploy.CodeInvalid, "must be a list of objects with id, subnet and float")
		return nil
	}
	for i := range items {
		items[i].Subnet = o.word(items[i].Subnet, path)
	}
	return items
}

// dryRun reads the one parameter that commands know. Any other is refused: one
// that is misspelt must not turn a question into a command.
func (o *objectReader) dryRun(r *http.Request) bool {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		o.add("query", deploy.CodeInvalid, "is not a query")
	}
	for name := range q {
		if name != "dry_run" {
			o.add(boundedName(name), deploy.CodeInvalid, "is not a parameter of this; it knows dry_run")
		}
	}
	if !q.Has("dry_run") {
		return false
	}
	switch q.Get("dry_run") {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	o.add("dry_run", deploy.CodeInvalid, "must be true or false")
	return true
}

// boundedName makes a name that the caller chose fit for an answer.
func boundedName(name string) string {
	name = oneLine(cleanText(name))
	if len(name) > 64 {
		return strings.ToValidUTF8(name[:64], "")
	}
	return name
}
