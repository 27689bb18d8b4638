package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
)

// command is the body of a request that asks for something to be done, while
// it is being read. Everything that is wrong with it is gathered.
type command struct {
	objectReader
	fields reportFields
	dry    bool // ?dry_run=true
}

// readCommand reads a body: a JSON object, a form, or none at all. What is not
// known is refused rather than passed over: a misspelt word must not change
// what a command does.
func (s *Server) readCommand(w http.ResponseWriter, r *http.Request, known ...string) (*command, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	c := &command{fields: reportFields{}}
	c.dry = c.dryRun(r)
	if len(bytes.TrimSpace(body)) > 0 {
		if c.fields, err = decodeReport(r.Header.Get("Content-Type"), body, false); err != nil {
			return nil, err
		}
	}
	var strange []string
	for name := range c.fields {
		if !slices.Contains(known, name) {
			strange = append(strange, boundedName(name))
		}
	}
	sort.Strings(strange)
	expected := "nothing is expected"
	if len(known) > 0 {
		expected = "it knows " + strings.Join(known, ", ")
	}
	for _, name := range strange[:min(len(strange), 20)] {
		c.add(name, deploy.CodeInvalid, "is not known here; "+expected)
	}
	return c, nil
}

// err gives everything that was wrong.
func (c *command) err() error { return deploy.Invalid(c.bad) }

// pathID reads an id of the path.
func (c *command) pathID(r *http.Request, prefix string) int64 {
	var bad fieldErrors
	id := bad.id("id", prefix, r.PathValue("id"))
	c.bad = append(c.bad, bad...)
	return id
}

func (c *command) word(name string) string { return c.text(c.fields, name) }

func (c *command) required(name string) string {
	before := len(c.bad)
	v := c.word(name)
	if v == "" && len(c.bad) == before {
		c.add(name, deploy.CodeRequired, "is required")
	}
	return v
}

// longText is a text of several words, at most limit bytes. It goes into the
// history, so secrets that were pasted into it are taken out.
func (c *command) longText(name string, limit int) string {
	var p parsedReport
	v := strings.TrimSpace(access.Redact(c.fields.text(&p, name)))
	switch {
	case len(p.bad) > 0:
		c.add(name, deploy.CodeInvalid, p.bad[0].Message)
	case len(v) > limit:
		c.add(name, deploy.CodeOutOfRange, fmt.Sprintf("is longer than %d bytes", limit))
	case cleanText(v) != v || oneLine(v) != v:
		c.add(name, deploy.CodeInvalid, "must be one line of printable text")
	default:
		return v
	}
	return ""
}

// id reads a database id, as a number or a text, or a global id; 0 = not given.
func (c *command) id(name, prefix string) int64 {
	raw, ok := c.fields[name]
	if !ok || string(raw) == "null" {
		return 0
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	var bad fieldErrors
	id := bad.id(name, prefix, text)
	c.bad = append(c.bad, bad...)
	return id
}

// flag reads a truth; nil = not given.
func (c *command) flag(name string) *bool {
	raw, ok := c.fields[name]
	if !ok || string(raw) == "null" {
		return nil
	}
	text := string(raw)
	if s := ""; json.Unmarshal(raw, &s) == nil {
		text = s
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		c.add(name, deploy.CodeInvalid, "must be true or false")
		return nil
	}
	return &v
}

// choice reads one of a few words; none = the first of them.
func (c *command) choice(name string, words ...string) string {
	v := strings.ToLower(c.word(name))
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		c.add(name, deploy.CodeInvalid, "must be one of "+strings.Join(words, ", "))
	}
	return v
}

// noDryRun refuses ?dry_run where there is nothing to show.
func (c *command) noDryRun() {
	if c.dry {
		c.add("dry_run", deploy.CodeInvalid, "is not possible here; nothing was done")
	}
}

// operations gives the service that asks providers; without one such requests
// are refused.
func (s *Server) operations() error {
	if s.Operations == nil {
		return deploy.Errorf(deploy.CodeWrongState, "this server asks no providers")
	}
	return nil
}
