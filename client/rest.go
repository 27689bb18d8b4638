package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// answerLimit is the longest that one answer is waited for: comparing a whole
// account takes minutes.
const answerLimit = 3 * time.Minute

// APIError is a refusal of the server.
type APIError struct {
	Status    int    `json:"-"` // HTTP status
	Message   string `json:"error"`
	Code      string `json:"code"`
	Hint      string `json:"hint"`
	RequestID string `json:"request_id"`
	Retryable bool   `json:"retryable"`
	Fields    []struct {
		Field, Code, Key, Message string
	} `json:"fields"`
}

// Error says what was refused and what to do.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", e.Message, e.Code)
	for _, f := range e.Fields {
		if !strings.Contains(e.Message, f.Message) { // else it was said
			fmt.Fprintf(&b, "; %s %s", f.Field, f.Message)
		}
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// rest calls the REST face: in and out are JSON documents, nil for none. A
// refusal is an *APIError.
func (c *Client) rest(ctx context.Context, method, path string, in, out any) (status int, err error) {
	var raw []byte
	if in != nil {
		if raw, err = json.Marshal(in); err != nil {
			return 0, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return c.send(ctx, method, path, raw, nil, out)
}

// send is rest with a body as it is to be sent, and more headers; nil = none.
func (c *Client) send(ctx context.Context, method, path string, raw []byte, header http.Header, out any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var body io.Reader
	if raw != nil {
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.token)
	if raw != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		refusal := &APIError{Status: resp.StatusCode}
		if json.Unmarshal(raw, refusal) != nil || refusal.Code == "" {
			return resp.StatusCode, fmt.Errorf("%s %s: the server answered %s", method, path, resp.Status)
		}
		return resp.StatusCode, refusal
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return resp.StatusCode, nil
}
