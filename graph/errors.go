package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/graph/scalar"
)

// Codes of request errors beside those of package deploy.
const (
	codeInternal   = "INTERNAL"
	codeCanceled   = "CANCELED"
	codeParse      = "GRAPHQL_PARSE_FAILED"      // gqlgen's
	codeValidation = "GRAPHQL_VALIDATION_FAILED" // gqlgen's
)

type requestIDKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// panicked is what a panic becomes; its text goes to the log only.
type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func recovered(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, value any) error {
		log.ErrorContext(ctx, "a resolver panicked", "request_id", requestID(ctx), "panic", value, "stack", string(debug.Stack()))
		return &panicked{value}
	}
}

// away is what callers are told while the database cannot be used: nothing was
// wrong with what they asked.
var away = &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: "Slipway cannot reach its database at the moment", Hint: "try again", Retryable: true}

// late is what callers are told whose request took longer than one may.
var late = &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: "Slipway could not answer in time", Hint: "try again, or ask for less", Retryable: true}

// presenter gives every request error a code and the request's id. Only texts
// that were written for callers are shown: those of package deploy, of
// scalars, and what parser and validator say about the document.
//
// What unavailable calls a passing trouble of the database says that it can be
// tried again. Such an operation was begun, so over HTTP its status stays 200,
// as GraphQL over HTTP has it wherever there is a data entry, null or not.
func presenter(log *slog.Logger, unavailable func(error) bool) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		out := graphql.DefaultErrorPresenter(ctx, err)
		shown := &gqlerror.Error{Message: out.Message, Path: out.Path, Locations: out.Locations, Extensions: map[string]any{}}
		var de *deploy.Error
		var se *scalar.Error
		switch {
		case errors.As(err, &de):
			tell(shown, de)
		case errors.As(err, &se):
			shown.Message = se.Text
			shown.Extensions["code"] = string(codeOf(deploy.CodeInvalid))
		case errors.Is(err, context.DeadlineExceeded):
			// Our own limit: the caller is still there.
			log.WarnContext(ctx, "a GraphQL request took too long", "request_id", requestID(ctx), "path", out.Path.String(), "error", err)
			tell(shown, late)
		case errors.Is(err, context.Canceled):
			shown.Message = "the request was given up before it was done"
			shown.Extensions["code"] = codeCanceled
		case unavailable != nil && unavailable(err):
			log.WarnContext(ctx, "a GraphQL request could not reach the database", "request_id", requestID(ctx), "path", out.Path.String(), "error", err)
			tell(shown, away)
		case isDocumentError(out):
			shown.Extensions["code"] = codeValidation
			if code, ok := out.Extensions["code"].(string); ok {
				shown.Extensions["code"] = code
			}
		default:
			var p *panicked
			if !errors.As(err, &p) { // panics are logged where they happen
				log.ErrorContext(ctx, "a GraphQL request failed", "request_id", requestID(ctx), "path", out.Path.String(), "error", err)
			}
			shown.Message = "internal error; the server's log has it under this request id"
			shown.Extensions["code"] = codeInternal
		}
		if id := requestID(ctx); id != "" {
			shown.Extensions["requestId"] = id
		}
		return shown
	}
}

func tell(shown *gqlerror.Error, e *deploy.Error) {
	shown.Message = sentence(e.Message, e.Hint)
	shown.Extensions["code"] = strings.ToUpper(string(e.Code))
	if e.Retryable {
		shown.Extensions["retryable"] = true
	}
}

// isDocumentError tells errors that parser, validator and limits made about
// the document from those that wrap something inner.
func isDocumentError(e *gqlerror.Error) bool {
	if e.Err != nil {
		return false
	}
	_, coded := e.Extensions["code"]
	return coded || e.Rule != ""
}
