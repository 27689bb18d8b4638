package rack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/common"

	"github.com/slipwayhq/slipway/deploy"
)

// How long to wait until the next look.
const (
	waitSwitch   = 3 * time.Second
	waitOverride = 2 * time.Second
	waitTrouble  = 10 * time.Second
)

func permanent(code deploy.Code, hint, format string, args ...any) *deploy.ProviderError {
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func waiting(code deploy.Code, wait time.Duration, format string, args ...any) *deploy.ProviderError {
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf(format, args...), Temporary: true, Wait: max(wait, time.Second)}
}

// asProviderError types the refusals of the journal; what is typed stays, and
// so does what is not known.
func asProviderError(err error) error {
	var known *deploy.ProviderError
	if errors.As(err, &known) {
		return known
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

// ended is how a method ends: whatever was reached when the caller gave up, it
// is called again.
func ended(ctx context.Context, err error) error {
	if err == nil && ctx.Err() != nil {
		return fmt.Errorf("rack: %w", ctx.Err())
	}
	return asProviderError(err)
}

// errElsewhere is a controller, or a link of one, that is where none may be.
type errElsewhere struct{ what string }

func (e *errElsewhere) Error() string { return e.what }

// status gives the HTTP status that a controller refused with; 0 if it did not
// answer.
func status(err error) (int, string) {
	var one *common.Error
	if errors.As(err, &one) {
		said := one.Message
		for _, info := range one.ExtendedInfos {
			if info.Message != "" {
				said = info.Message
				break
			}
		}
		return one.HTTPReturnedStatusCode, short(said)
	}
	var several *common.CollectionError // does not unwrap
	if errors.As(err, &several) {
		for _, e := range several.Failures {
			if code, said := status(e); code != 0 {
				return code, said
			}
		}
	}
	return 0, ""
}

// find looks through what does not unwrap as well.
func find[T error](err error) (T, bool) {
	var found T
	if errors.As(err, &found) {
		return found, true
	}
	var several *common.CollectionError
	if errors.As(err, &several) {
		for _, e := range several.Failures {
			if f, ok := find[T](e); ok {
				return f, true
			}
		}
	}
	return found, false
}

func isNotFound(err error) bool {
	var e *deploy.ProviderError
	return errors.As(err, &e) && e.Code == deploy.CodeNotFound
}

// failure types what became of a call to a controller.
func (c *controller) failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("rack: %s: %w", doing, ctx.Err())
	}
	if e, ok := find[*errElsewhere](err); ok {
		return permanent(deploy.CodeForbidden, "Correct the address in the power settings, or start Slipway with the network that the controller is in.", "power.url: %s", e.what)
	}
	if e, ok := find[*tls.CertificateVerificationError](err); ok {
		return permanent(deploy.CodeInvalid, "Name a file with the certificate that signed it as ca_file, or give the controller one that is trusted.",
			"power.ca_file: the certificate of %s is not trusted: %v", c.host, e.Err)
	}
	code, said := status(err)
	if said == "" {
		said = http.StatusText(code)
	}
	message := fmt.Sprintf("%s: the controller %s answers %d: %s", doing, c.host, code, c.redact(said))
	switch {
	case code == 0:
		return waiting(deploy.CodeUpstreamUnavailable, waitTrouble, "%s: the controller %s does not answer: %s", doing, c.host, c.redact(short(err.Error())))
	case code == http.StatusTooManyRequests:
		return waiting(deploy.CodeRateLimited, max(c.retryAfter(), waitTrouble), "%s", message)
	case code == http.StatusUnauthorized:
		return permanent(deploy.CodeUnauthenticated, "Check the user name, and the secret on the server; the account may also be locked.", "power.password_ref: %s", message)
	case code == http.StatusForbidden:
		return permanent(deploy.CodeForbidden, "The account needs the privileges Login, ConfigureComponents and, on some controllers, Operator for power.", "%s", message)
	case code == http.StatusNotFound:
		return permanent(deploy.CodeNotFound, "Correct the power settings: this controller has nothing like that.", "%s", message)
	case code == http.StatusConflict, code == http.StatusPreconditionFailed:
		return waiting(deploy.CodeConflict, max(c.retryAfter(), waitSwitch), "%s", message)
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout, code == http.StatusNotImplemented:
		return permanent(deploy.CodeInvalid, "The controller does not do this as asked: see whether its firmware supports Redfish's boot override and reset, or let a person switch the machine.", "%s", message)
	}
	return waiting(deploy.CodeUpstreamUnavailable, max(c.retryAfter(), waitTrouble), "%s", message)
}

// redact takes the password out of what a controller says.
func (c *controller) redact(s string) string {
	if c.password == "" {
		return s
	}
	return strings.ReplaceAll(s, c.password, "***")
}

// short makes what a controller says a line.
func short(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
