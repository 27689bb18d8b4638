package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Khan/genqlient/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// complaint is an error of a command in words for a person, with the exit code
// that it ends with: libraries tell of a server that does not answer, or that
// refuses, in words for programmers.
func complaint(err error) (code int, text string) {
	code = exitFailed
	var e exit
	if errors.As(err, &e) {
		code = e.code
		if e.err == nil {
			return code, ""
		}
		err = e.err
	}
	var (
		call    *url.Error
		refused *graphql.HTTPError
		list    gqlerror.List
	)
	switch {
	case errors.As(err, &call):
		if code == exitFailed {
			code = exitLost
		}
		return code, instead(err, call, unreachable(call))
	case errors.As(err, &refused):
		return code, instead(err, refused, refusal(refused))
	case errors.As(err, &list):
		return code, instead(err, list, messages(list))
	}
	return code, err.Error()
}

// instead is an error's text with other words for the one that it wraps.
func instead(err, inner error, words string) string {
	return strings.Replace(err.Error(), inner.Error(), words, 1)
}

// unreachable tells which server did not answer, and what to look at.
func unreachable(call *url.Error) string {
	where := call.URL
	if u, err := url.Parse(call.URL); err == nil && u.Host != "" {
		where = u.Scheme + "://" + u.Host
	}
	if call.Timeout() || errors.Is(call, context.DeadlineExceeded) {
		return where + " did not answer in time; what was asked may have been done all the same (see " + where + "/readyz)"
	}
	return fmt.Sprintf("%s could not be reached: %s; is the server running, and is --server (SLIPWAY_SERVER) right?", where, lost(call))
}

// lost tells why a connection ended, or could not be made.
func lost(err error) string {
	var op *net.OpError
	var call *url.Error
	switch {
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &call):
		return call.Err.Error()
	}
	return err.Error()
}

// refusal tells why a server did not take a question.
func refusal(e *graphql.HTTPError) string {
	for _, one := range e.Response.Errors {
		if one.Extensions["code"] != nil { // else it is not Slipway that speaks
			return messages(e.Response.Errors)
		}
	}
	return fmt.Sprintf("the server answered %d %s; is --server (SLIPWAY_SERVER) the URL of a Slipway?", e.StatusCode, http.StatusText(e.StatusCode))
}

func messages(list gqlerror.List) string {
	parts := make([]string, len(list))
	for i, one := range list {
		parts[i] = oneLine(one.Message)
		if code, ok := one.Extensions["code"].(string); ok {
			parts[i] += " (" + strings.ToLower(code) + ")"
		}
	}
	return strings.Join(parts, "; ")
}
