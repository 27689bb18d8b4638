package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// The limits of a report, in bytes.
const (
	reportBody   = 256 << 10 // of the whole body
	reportLarge  = 8 << 20   // of the body of a failed report that is still read whole
	logTailMax   = 64 << 10
	messageMax   = 4 << 10
	phaseMax     = 64
	keyMax       = 128
	detailsMax   = 64 << 10
	detailsDepth = 32
)

// reportFields is the body of a report before it is checked: what each field
// holds, as JSON. A form's values are strings or, where a field needs another
// type, what they spell.
type reportFields map[string]json.RawMessage

// parsedReport is a body that could be read.
type parsedReport struct {
	serverIP       netip.Addr
	phase          string
	status         phase.Status
	message        string
	serverStatus   string
	progress       *int
	details        json.RawMessage
	logTail        string
	occurredAt     time.Time
	idempotencyKey string
	token          string
	bad            []deploy.FieldError
}

// body kinds of a report.
type bodyKind int

const (
	bodyJSON bodyKind = iota
	bodyForm
)

// reportKind decides by Content-Type and first byte: `curl -d '{…}'` sends
// JSON and calls it a form.
func reportKind(contentType string, body []byte) (bodyKind, error) {
	looksJSON := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "" && looksJSON:
		return bodyJSON, nil
	case err != nil && contentType != "":
	case kind == "application/json", strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
		return bodyJSON, nil
	case kind == "application/x-www-form-urlencoded" && looksJSON:
		return bodyJSON, nil
	case kind == "application/x-www-form-urlencoded":
		return bodyForm, nil
	}
	return 0, unsupported("application/json or application/x-www-form-urlencoded")
}

// decodeReport reads the fields of a body. cut says that the body's end is
// missing: then what is whole counts. The error is 400 or 415.
func decodeReport(contentType string, body []byte, cut bool) (reportFields, error) {
	kind, err := reportKind(contentType, body)
	if err != nil {
		return nil, err
	}
	if kind == bodyForm {
		return formFields(string(body)), nil
	}
	return jsonFields(body, cut)
}

// jsonFields reads the members of one JSON object; of two with the same name
// the last counts.
func jsonFields(body []byte, cut bool) (reportFields, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		var fields reportFields
		if json.Unmarshal(body, &fields) == nil {
			return fields, nil
		}
	}
	// Something is wrong with it, or it is cut: take what is whole, or say what
	// is wrong.
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed("the body is not a JSON object")
	}
	fields := reportFields{}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			if cut {
				return fields, nil
			}
			return nil, malformed("the body is not JSON: %s", jsonProblem(err))
		}
		if name, ok := key.(string); ok {
			fields[name] = value
		}
	}
	if _, err := dec.Token(); err != nil && !cut {
		return nil, malformed("the body is not JSON: %s", jsonProblem(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) && !cut {
		return nil, malformed("something follows the JSON object")
	}
	return fields, nil
}

// jsonProblem is a decoder's complaint without what the caller sent.
func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return "syntax error at byte " + strconv.FormatInt(syntax.Offset, 10)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return "syntax error"
}

// formFields reads a form. A percent sign that begins no escape stands for
// itself: `curl -d message="disk 100% full"` must not lose the report.
func formFields(body string) reportFields {
	fields := reportFields{}
	for pair := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if name == "" {
			continue
		}
		if name == "details" && value != "" {
			// Spells JSON; what is none is kept as a string, which is refused
			// below like every other wrong type.
			if json.Valid([]byte(value)) {
				fields[name] = json.RawMessage(value)
				continue
			}
		}
		quoted, err := json.Marshal(value)
		if err == nil { // a string always can be
			fields[name] = quoted
		}
	}
	return fields
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8) // both are hex digits
			b.WriteByte(byte(n))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// token is the secret that a body carries, if any.
func (f reportFields) token() string {
	var p parsedReport
	return f.text(&p, "token")
}

var phaseForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.:-]*$`)

// check reads every field and gathers every bad one.
func (f reportFields) check() parsedReport {
	p := parsedReport{token: f.token()}
	p.status = f.status(&p) // first: a failed report is cut where others are refused
	failed := p.status == phase.FailedRun

	if ip := strings.TrimSpace(f.required(&p, "server_ip")); ip != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			p.add("server_ip", deploy.CodeInvalid, "is not an IP address")
		}
		p.serverIP = addr.Unmap()
	}
	switch p.phase = strings.ToLower(strings.TrimSpace(f.required(&p, "phase"))); {
	case p.phase == "":
	case len(p.phase) > phaseMax:
		p.add("phase", deploy.CodeOutOfRange, "is longer than 64 characters")
	case !phaseForm.MatchString(p.phase):
		p.add("phase", deploy.CodeInvalid, "must be letters, digits and any of _ . : -")
	case p.phase == phase.Failed:
		p.status = phase.FailedRun // whatever status came with it
	}
	p.message = cleanText(f.text(&p, "message"))
	if len(p.message) > messageMax {
		if !failed {
			p.add("message", deploy.CodeOutOfRange, "is longer than 4096 bytes")
		}
		p.message = cutAfter(p.message, messageMax-3) + "..."
	}
	p.serverStatus = f.word(&p, "server_status", phaseMax)
	p.idempotencyKey = f.word(&p, "idempotency_key", keyMax)
	p.progress = f.progress(&p)
	p.occurredAt = f.moment(&p)
	p.details = f.details(&p, failed)
	p.logTail = lastBytes(cleanText(f.text(&p, "log_tail")), logTailMax)
	return p
}

func (p *parsedReport) add(field string, code deploy.Code, message string) {
	p.bad = append(p.bad, deploy.FieldError{Field: field, Code: code, Message: message})
}

// text reads a string; absent and null are empty.
func (f reportFields) text(p *parsedReport, name string) string {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		p.add(name, deploy.CodeInvalid, "must be a string")
		return ""
	}
	return s
}

// required is text that must be there. A value of a wrong type has its own
// complaint.
func (f reportFields) required(p *parsedReport, name string) string {
	before := len(p.bad)
	s := f.text(p, name)
	if strings.TrimSpace(s) == "" && len(p.bad) == before {
		p.add(name, deploy.CodeRequired, "is required")
	}
	return s
}

// word is a short printable text.
func (f reportFields) word(p *parsedReport, name string, limit int) string {
	s := strings.TrimSpace(f.text(p, name))
	switch {
	case len(s) > limit:
		p.add(name, deploy.CodeOutOfRange, "is longer than "+strconv.Itoa(limit)+" bytes")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.add(name, deploy.CodeInvalid, "must be printable text")
	default:
		return s
	}
	return ""
}

func (f reportFields) status(p *parsedReport) phase.Status {
	s := f.required(p, "status")
	if strings.TrimSpace(s) == "" {
		return ""
	}
	st, ok := phase.ParseStatus(s)
	if !ok {
		p.add("status", deploy.CodeInvalid, "must be in_progress, success or failed")
	}
	return st
}

// progress is a whole number of percent; a string may spell it.
func (f reportFields) progress(p *parsedReport) *int {
	raw, ok := f["progress"]
	if !ok || string(raw) == "null" {
		return nil
	}
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if text = strings.TrimSpace(s); text == "" {
			return nil
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange), math.IsNaN(v):
		p.add("progress", deploy.CodeInvalid, "must be a number")
	case v < 0 || v > 100:
		p.add("progress", deploy.CodeOutOfRange, "must be 0 to 100")
	case v != math.Trunc(v):
		p.add("progress", deploy.CodeInvalid, "must be a whole number")
	default:
		n := int(v)
		return &n
	}
	return nil
}

// moment is the reporter's clock: RFC 3339, or seconds since 1970.
func (f reportFields) moment(p *parsedReport) time.Time {
	raw, ok := f["occurred_at"]
	if !ok || string(raw) == "null" {
		return time.Time{}
	}
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if text = strings.TrimSpace(s); text == "" {
			return time.Time{}
		}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		sec, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || math.IsNaN(sec) || sec < 0 || sec > 253402300799 { // the end of the year 9999
			p.add("occurred_at", deploy.CodeInvalid, "must be a time like 2026-01-31T12:00:00Z")
			return time.Time{}
		}
		whole, part := math.Modf(sec)
		t = time.Unix(int64(whole), int64(part*1e9))
	}
	if t = t.UTC().Truncate(time.Microsecond); t.Year() < 1970 || t.Year() > 9999 {
		p.add("occurred_at", deploy.CodeOutOfRange, "must lie between 1970 and 9999")
		return time.Time{}
	}
	return t
}

// details is a JSON object, normalised so that both databases keep it: without
// NUL characters, without half surrogates, without numbers that no database
// can hold.
func (f reportFields) details(p *parsedReport, failed bool) json.RawMessage {
	raw, ok := f["details"]
	if !ok || string(raw) == "null" || string(raw) == `""` {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		p.add("details", deploy.CodeInvalid, "must be a JSON object")
		return nil
	}
	clean, ok := cleanValue(v, detailsDepth)
	if !ok {
		p.add("details", deploy.CodeInvalid, "is nested too deeply or has a number that is too large")
		return nil
	}
	out, err := json.Marshal(clean)
	if err != nil {
		p.add("details", deploy.CodeInvalid, "must be a JSON object")
		return nil
	}
	if len(out) > detailsMax {
		if failed {
			return json.RawMessage(`{"removed":"details were larger than 64 KiB"}`)
		}
		p.add("details", deploy.CodeOutOfRange, "is larger than 64 KiB")
		return nil
	}
	return out
}

func cleanValue(v any, depth int) (any, bool) {
	if depth == 0 {
		return nil, false
	}
	switch v := v.(type) {
	case string:
		return cleanText(v), true
	case json.Number:
		n, err := v.Float64()
		return v, err == nil && !math.IsInf(n, 0) && len(v) <= 64
	case []any:
		for i := range v {
			var ok bool
			if v[i], ok = cleanValue(v[i], depth-1); !ok {
				return nil, false
			}
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			c, ok := cleanValue(e, depth-1)
			if !ok {
				return nil, false
			}
			out[cleanText(k)] = c
		}
		return out, true
	}
	return v, true
}

// cleanText makes text that both databases keep: valid UTF-8 without NUL.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// lastBytes keeps the end of s, at most n bytes, beginning with a whole
// character.
func lastBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}

// cutAfter keeps the beginning of s, at most n bytes, ending with a whole
// character.
func cutAfter(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// readReport reads a report's body: whole up to reportBody; beyond that up to
// reportLarge, because it may be a failure, which is never refused for its
// size. cut says that even that was not all.
func (s *Server) readReport(w http.ResponseWriter, r *http.Request) (body []byte, large, cut bool, err error) {
	body, err = io.ReadAll(io.LimitReader(r.Body, reportBody+1))
	if err != nil {
		return nil, false, false, malformed("the body could not be read to its end")
	}
	if len(body) <= reportBody {
		return body, false, false, nil
	}
	select { // few large bodies at a time, so that memory stays bounded
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
	default:
		return nil, true, false, &statusError{
			err:    &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: "too many large reports at the moment", Retryable: true},
			status: http.StatusServiceUnavailable, retryAfter: 5,
		}
	}
	w.Header().Set("Connection", "close") // what is not read is not worth reading
	rest, err := io.ReadAll(io.LimitReader(r.Body, reportLarge-reportBody))
	if err != nil {
		return nil, true, false, malformed("the body could not be read to its end")
	}
	return append(body, rest...), true, len(rest) == reportLarge-reportBody, nil
}
