package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// waitTrouble is how long to wait until another try after a failure that may
// pass.
const waitTrouble = 3 * time.Second

// Refuse makes a failure that another try cannot cure.
func Refuse(code deploy.Code, hint, format string, args ...any) *deploy.ProviderError {
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Held is the failure of who has waited for a lock in vain: another try, later,
// may have it.
func Held(path string, waited time.Duration) *deploy.ProviderError {
	return &deploy.ProviderError{Code: deploy.CodeRunActive, Message: fmt.Sprintf("another process has held the lock %s for longer than %s", path, waited),
		Hint: "See which process has it open (fuser, lsof), and end that if it is not at work.", Temporary: true, Wait: waitTrouble}
}

// Failure types what the operating system said about a path: what is missing
// or forbidden needs a person, other trouble may pass. What is typed already,
// and the end of a context, stay as they are.
func Failure(doing, path string, err error) error {
	var known *deploy.ProviderError
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	said := cause(err)
	final := func(code deploy.Code, hint string) error {
		return Refuse(code, hint, "%s %s: %s", doing, path, said)
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return final(deploy.CodeQuotaExceeded, "Free space on the file system of the work directory, then try again.")
	case errors.Is(err, syscall.EROFS):
		return final(deploy.CodeForbidden, "Mount the file system of the work directory for writing, then try again.")
	case errors.Is(err, fs.ErrPermission): // EACCES, EPERM
		return final(deploy.CodeForbidden, "Let the user that Slipway runs as read and write there, then try again.")
	case errors.Is(err, fs.ErrNotExist):
		return final(deploy.CodeNotFound, "Make it, or correct the setting of the work directory.")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, errNotRegular):
		return final(deploy.CodeInvalid, "Something of another kind has this name: move it away.")
	case errors.Is(err, syscall.ELOOP), escapes(err):
		return final(deploy.CodeInvalid, "A symbolic link on this path leads out of the work directory: replace it by what it points to.")
	}
	code := deploy.CodeUpstreamUnavailable
	for _, scarce := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM, syscall.ENOLCK} {
		if errors.Is(err, scarce) {
			code = deploy.CodeRateLimited
		}
	}
	return &deploy.ProviderError{Code: code, Message: fmt.Sprintf("%s %s: %s", doing, path, said), Hint: "See the host's system log.", Temporary: true, Wait: waitTrouble}
}

// escapes recognizes what os.Root says of a link that leads out; its error has
// no name.
func escapes(err error) bool { return strings.Contains(err.Error(), "path escapes from parent") }

// hasCode reports whether a typed failure has a code.
func hasCode(err error, code deploy.Code) bool {
	var e *deploy.ProviderError
	return errors.As(err, &e) && e.Code == code
}

// cause leaves out what the message says already: operation and path.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
