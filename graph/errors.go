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

// presenter gives every request error a code and the request's id. Only texts
// that were written for callers are shown: those of package deploy, of
// scalars, and what parser and validator say about the document.
func presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		out := graphql.DefaultErrorPresenter(ctx, err)
		shown := &gqlerror.Error{Message: out.Message, Path: out.Path, Locations: out.Locations, Extensions: map[string]any{}}
		var de *deploy.Error
		var se *scalar.Error
		switch {
		case errors.As(err, &de):
			shown.Message = sentence(de.Message, de.Hint)
			shown.Extensions["code"] = strings.ToUpper(string(de.Code))
			if de.Retryable {
				shown.Extensions["retryable"] = true
			}
		case errors.As(err, &se):
			shown.Message = se.Text
			shown.Extensions["code"] = string(codeOf(deploy.CodeInvalid))
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			shown.Message = "the request was given up before it was done"
			shown.Extensions["code"] = codeCanceled
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

// isDocumentError tells errors that parser, validator and limits made about
// the document from those that wrap something inner.
func isDocumentError(e *gqlerror.Error) bool {
	if e.Err != nil {
		return false
	}
	_, coded := e.Extensions["code"]
	return coded || e.Rule != ""
}
