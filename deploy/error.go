package deploy

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what went wrong in one stable word. REST shows it as it is,
// GraphQL in upper case.
type Code string

// The codes, one list for every face of Slipway.
const (
	CodeNotFound             Code = "not_found"
	CodeAlreadyExists        Code = "already_exists"
	CodeNameInUse            Code = "name_in_use"
	CodeInvalid              Code = "invalid"
	CodeRequired             Code = "required"
	CodeOutOfRange           Code = "out_of_range"
	CodeConflict             Code = "conflict"
	CodeRunActive            Code = "run_active"
	CodeWrongState           Code = "wrong_state"
	CodeOutOfOrder           Code = "out_of_order"
	CodeIllegalJump          Code = "illegal_jump"
	CodeDeploymentEnded      Code = "deployment_ended"
	CodeVersionMismatch      Code = "version_mismatch"
	CodeConfirmationMismatch Code = "confirmation_mismatch"
	CodeIdempotencyConflict  Code = "idempotency_conflict"
	CodeQuotaExceeded        Code = "quota_exceeded"
	CodeUpstreamUnavailable  Code = "upstream_unavailable"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeForbidden            Code = "forbidden"
	CodeTooLarge             Code = "too_large"
	CodeRateLimited          Code = "rate_limited"
)

// FieldError names one bad field of an input.
type FieldError struct {
	Field   string // path with dots: "spec.ibm_vpc.zone"
	Code    Code
	Message string
	// Key names the rule that was broken, in one stable word of snake case, where
	// a field has more rules than there are codes: "mask_not_contiguous". It may
	// be empty.
	Key string `json:"key,omitempty"`
}

// Error is a refusal that its reader can act on. It never carries SQL or
// another internal text.
type Error struct {
	Code           Code
	Message        string       // one sentence, for people
	Hint           string       // what to do, may be empty
	Fields         []FieldError // every bad field at once, may be empty
	AcceptedPhases []string     // for a refused report: what would be accepted
	Retryable      bool         // the same call may succeed later
}

// Error gives code and message.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.Message)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Message)
	}
	return b.String()
}

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid gathers bad fields into one Error, or nil if there are none.
func Invalid(fields []FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	code := fields[0].Code
	for _, f := range fields {
		if f.Code != code {
			code = CodeInvalid
			break
		}
	}
	return &Error{Code: code, Message: fmt.Sprintf("%d field(s) are not acceptable", len(fields)), Fields: fields}
}

// AsError finds the Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// HasCode reports whether err carries code.
func HasCode(err error, code Code) bool {
	e, ok := AsError(err)
	return ok && e.Code == code
}
