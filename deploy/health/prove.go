package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// bootIDCommand reads what the kernel makes anew at each boot (Linux
	// Documentation/admin-guide/sysctl/kernel.rst, random).
	bootIDCommand = "cat /proc/sys/kernel/random/boot_id"
	// plainCommand proves a login on a system without that file.
	plainCommand = "true"
	// outputLimit is as much of a command's output as is read.
	outputLimit = 4096
)

var bootID = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)

// prove runs the command and compares the boot id.
func (c *Checker) prove(ctx context.Context, conn net.Conn, client *ssh.Client, t Target, limits Timeouts) Result {
	out, err := run(conn, client, bootIDCommand, limits.Command)
	id := strings.TrimSpace(out)
	if err == nil && bootID.MatchString(id) {
		if t.BootIDBefore != "" && strings.EqualFold(id, strings.TrimSpace(t.BootIDBefore)) {
			r := result(ClassNotRestarted, "the boot id is still the one that was reported before the restart")
			r.BootID = id
			return r
		}
		r := result(ClassOK, "logged in with the reported host key and read the boot id")
		r.BootID = id
		return r
	}
	if ctx.Err() != nil {
		return canceled(ctx)
	}
	if isTimeout(err) {
		return result(ClassTimeout, fmt.Sprintf("%q did not end: %v", bootIDCommand, err))
	}
	if _, err := run(conn, client, plainCommand, limits.Command); err != nil {
		switch {
		case ctx.Err() != nil:
			return canceled(ctx)
		case isTimeout(err):
			return result(ClassTimeout, fmt.Sprintf("%q did not end: %v", plainCommand, err))
		}
		return result(ClassCommandFailed, fmt.Sprintf("logged in, but %q failed: %v", plainCommand, err))
	}
	return result(ClassOK, "logged in with the reported host key and ran a command; the machine has no boot id to read")
}

// run runs one command under a deadline of its own and gives the head of its
// output.
func run(conn net.Conn, client *ssh.Client, command string, limit time.Duration) (string, error) {
	deadline := time.Now().Add(limit)
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	session, err := client.NewSession()
	if err != nil {
		return "", late(deadline, err)
	}
	defer session.Close()
	var out head
	session.Stdout = &out
	if err := session.Run(command); err != nil {
		return "", late(deadline, err)
	}
	return out.String(), nil
}

// errLate marks a failure that the deadline caused: the SSH library hides the
// connection's own error behind "wait: remote command exited without exit status".
type errLate struct{ cause error }

func (e *errLate) Error() string { return "no answer in time: " + e.cause.Error() }
func (e *errLate) Unwrap() error { return e.cause }

func late(deadline time.Time, err error) error {
	if !time.Now().Before(deadline) {
		return &errLate{err}
	}
	return err
}

func isTimeout(err error) bool {
	var l *errLate
	return errors.As(err, &l)
}

// head keeps the first outputLimit bytes and takes the rest without keeping it.
type head struct{ buf bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if room := outputLimit - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string { return h.buf.String() }
