package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/go-openapi/strfmt"

	"github.com/slipwayhq/slipway/deploy"
)

// callFailure is a call that gave no result, in the API's own words.
type callFailure struct {
	doing      string
	status     int    // HTTP status; 0 if there was no answer
	code       string // the API's code of the first error
	target     string // what of the request it is about
	message    string
	trace      string
	retryAfter time.Duration
	unsent     bool // the request never left: no token, or no connection
	auth       bool // IAM gave no token
}

// Error says what was done and how it ended.
func (f *callFailure) Error() string {
	var b strings.Builder
	b.WriteString(f.doing + ": ")
	if f.auth {
		b.WriteString("IAM gave no token: ")
	}
	if f.status != 0 {
		fmt.Fprintf(&b, "%d ", f.status)
	}
	if f.code != "" {
		b.WriteString(f.code + ": ")
	}
	b.WriteString(f.message)
	if f.target != "" {
		b.WriteString(" (" + f.target + ")")
	}
	if f.trace != "" {
		b.WriteString(" [trace " + f.trace + "]")
	}
	return b.String()
}

// failure makes sense of what the SDK gives back. parent is the caller's
// context: when it has ended, that is the reason, and nothing is known of the
// call.
func failure(parent context.Context, doing string, response *core.DetailedResponse, err error) error {
	if err == nil {
		return nil
	}
	if parent.Err() != nil {
		return fmt.Errorf("%s: %w", doing, parent.Err())
	}
	var known *callFailure
	if errors.As(err, &known) {
		known.doing = doing
		return known
	}
	f := &callFailure{doing: doing, message: err.Error()}
	var problem *core.HTTPProblem
	if response == nil && errors.As(err, &problem) { // the SDK's pagers keep it inside
		response = problem.Response
	}
	if response == nil { // a dropped connection leaves none
		var dial *net.OpError
		f.unsent = errors.As(err, &dial) && dial.Op == "dial"
		return f
	}
	f.status = response.StatusCode
	f.retryAfter = retryAfter(response.Headers)
	if body, ok := response.Result.(map[string]any); ok {
		f.read(body)
	}
	if f.trace == "" {
		f.trace = response.Headers.Get("X-Correlation-Id")
	}
	return f
}

// read takes the error document apart: {"errors":[{code,message,target}],"trace"}.
func (f *callFailure) read(body map[string]any) {
	f.trace, _ = body["trace"].(string)
	list, _ := body["errors"].([]any)
	if len(list) == 0 {
		return
	}
	first, _ := list[0].(map[string]any)
	f.code, _ = first["code"].(string)
	if m, _ := first["message"].(string); m != "" {
		f.message = m
	}
	if t, ok := first["target"].(map[string]any); ok {
		f.target, _ = t["name"].(string)
	}
}

func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// authFailure is a token that IAM did not give.
func authFailure(err error) error {
	f := &callFailure{message: err.Error(), unsent: true, auth: true}
	var denied *core.AuthenticationError
	if errors.As(err, &denied) && denied.Response != nil {
		f.status = denied.Response.StatusCode
	}
	return f
}

// doubtful reports that the call may or may not have had its effect.
func (f *callFailure) doubtful() bool {
	switch {
	case f.unsent, f.status == http.StatusNotImplemented:
		return false
	case f.status == 0, f.status == http.StatusRequestTimeout, f.status >= 500:
		return true
	}
	return f.status < 300 // it was done, but the answer could not be read
}

// barred reports that the API turned us away before it looked at the request.
func (f *callFailure) barred() bool {
	return f.status == http.StatusUnauthorized || f.status == http.StatusForbidden || f.status == http.StatusTooManyRequests
}

// taken reports that something of that name or address exists, or that the
// interface has a server already: perhaps from a create of our own whose
// answer was lost. IBM answers with 400 and with 409 and with several codes,
// so that only a look tells.
func (f *callFailure) taken() bool {
	if f.status != http.StatusBadRequest && f.status != http.StatusConflict {
		return false
	}
	text := strings.ToLower(f.code + " " + f.message)
	for _, word := range []string{"unique", "already", "in_use", "in use", "duplicate", "exists"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func asFailure(err error) (*callFailure, bool) {
	var f *callFailure
	return f, errors.As(err, &f)
}

func isNotFound(err error) bool {
	f, ok := asFailure(err)
	return ok && f.status == http.StatusNotFound
}

// Waits before the caller tries again.
const (
	waitUpstream = 10 * time.Second // the service is not well
	waitConflict = 15 * time.Second // another operation is under way
	waitPending  = 5 * time.Second  // something small is being made: at most; see soon
	waitFirst    = 500 * time.Millisecond
	waitLook     = 5 * time.Second // between two looks for a lost create
)

// soon is how long to wait for something small: at first a moment, then half of
// the time that it has been waited for. A clock that differs from IBM's only
// makes it the one or the other end.
func (p *Provider) soon(since *strfmt.DateTime) time.Duration {
	if since == nil {
		return waitFirst
	}
	return min(max(p.now().Sub(time.Time(*since))/2, waitFirst), waitPending)
}

// asProviderError puts a failure into words that people can act on. What the
// journal refuses (nothing is made for a deployment that has ended) no other
// try can cure. Other errors (a context that ended, a database) pass.
func asProviderError(err error) error {
	var f *callFailure
	if !errors.As(err, &f) {
		var known *deploy.ProviderError
		if errors.As(err, &known) {
			return known // without what it was wrapped in on its way
		}
		if refused, ok := deploy.AsError(err); ok && !refused.Retryable {
			hint := refused.Hint
			if hint == "" {
				hint = "Look at the node's current deployment: another one, a cancel or a cleanup may have come first."
			}
			return permanent(refused.Code, hint, "%s", refused.Message)
		}
		return err
	}
	e := &deploy.ProviderError{Message: f.Error()}
	code := strings.ToLower(f.code)
	switch {
	case f.status == http.StatusTooManyRequests:
		e.Code, e.Temporary, e.Wait = deploy.CodeRateLimited, true, max(f.retryAfter, waitUpstream)
		e.Hint = "IBM Cloud limits the rate of calls; Slipway waits and goes on."
	case f.auth && f.status >= 400 && f.status < 500, f.status == http.StatusUnauthorized:
		e.Code, e.Hint = deploy.CodeUnauthenticated, "Check Slipway's credentials for IBM Cloud: the API key may be deleted or locked, or the trusted profile does not trust this machine."
	case f.status == http.StatusForbidden:
		e.Code, e.Hint = deploy.CodeForbidden, "Slipway's identity lacks a permission: it needs Editor on VPC Infrastructure Services in the resource group, and Manager on the DNS Services instance if names are registered."
	case f.status == http.StatusRequestEntityTooLarge:
		e.Code = deploy.CodeTooLarge
	case strings.Contains(code, "quota"):
		e.Code, e.Hint = deploy.CodeQuotaExceeded, "A quota of the account is used up (25 bare metal servers by default): release something, or ask IBM to raise it, then retry."
	case strings.Contains(code, "capacity"):
		e.Code, e.Hint = deploy.CodeUpstreamUnavailable, adviceCapacity
	case f.status == http.StatusNotFound:
		e.Code, e.Hint = deploy.CodeNotFound, "Something that the order refers to does not exist (any more), or Slipway's identity may not see it."
	case f.status == http.StatusConflict:
		e.Code, e.Temporary, e.Wait = deploy.CodeConflict, true, max(f.retryAfter, waitConflict)
		e.Hint = "IBM Cloud is busy with another operation on the same thing; Slipway waits and goes on."
	case f.status >= 400 && f.status < 500 && f.status != http.StatusRequestTimeout, f.status == http.StatusNotImplemented:
		e.Code, e.Hint = deploy.CodeInvalid, "IBM Cloud refuses the request as it is: correct the field that the message names, and deploy again."
	default:
		e.Code, e.Temporary, e.Wait = deploy.CodeUpstreamUnavailable, true, max(f.retryAfter, waitUpstream)
		e.Hint = "IBM Cloud does not answer well; Slipway waits and goes on. See https://cloud.ibm.com/status if this lasts."
	}
	return e
}

// permanent is a refusal of our own.
func permanent(code deploy.Code, hint, format string, args ...any) *deploy.ProviderError {
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// waiting is a reason to call again.
func waiting(code deploy.Code, wait time.Duration, format string, args ...any) *deploy.ProviderError {
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf(format, args...), Temporary: true, Wait: wait}
}
