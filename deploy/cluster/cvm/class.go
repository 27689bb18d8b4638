package cvm

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/slipwayhq/slipway/deploy/health"
)

// Class says in one stable word why a question to a controller VM had no
// answer. The words of package health keep their meaning.
type Class = health.Class

// The classes beside those of package health.
const (
	// ClassUnclear: it answered, but not with what is known of the command.
	ClassUnclear Class = "unclear_answer"
	// ClassNoCommand: logged in, but there is no such command: no controller VM.
	ClassNoCommand Class = "no_command"
	// ClassRequest: the request itself cannot be sent, whoever is asked.
	ClassRequest Class = "bad_request"
	// ClassTLS: the port answers, but with no TLS.
	ClassTLS Class = "tls_failed"
)

// Error is a question that had no answer.
type Error struct {
	Class   Class
	Op      string     // what was asked: "cluster status"
	Addr    netip.Addr // who was asked
	Message string     // one sentence, for people
	Hint    string     // what to look at, may be empty
	cause   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s on %s: %s", e.Op, e.Addr, e.Message) }

// Unwrap gives what the network or the SSH library said.
func (e *Error) Unwrap() error { return e.cause }

// Permanent reports whether another try cannot help.
func (e *Error) Permanent() bool { return e.Class == health.ClassWrongHost || e.Class == ClassRequest }

// ClassOf gives the class of an error of this package; empty for nil, and
// protocol_error for another's.
func ClassOf(err error) Class {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Class
	}
	return health.ClassProtocol
}

var hints = map[Class]string{
	health.ClassRefused:       "The controller VM is up but its SSH server is not (yet). Its first start takes 15 to 20 minutes.",
	health.ClassUnreachable:   "Check the controller VM's address, the routes and the security groups between Slipway and it.",
	health.ClassTimeout:       "The controller VM may still be starting, or a firewall drops the packets. If this lasts, look at the hypervisor: virsh list.",
	health.ClassProtocol:      "Something else than an SSH server listens on this port, or the connection was cut.",
	health.ClassAuthFailed:    "The controller VM does not accept Slipway's key for this user: the installer has to put it there.",
	health.ClassWrongHost:     "Another machine answers on this address, or no host key of the controller VM was reported. Look for a duplicate address.",
	health.ClassCommandFailed: "Log in to the controller VM and run the command by hand.",
	ClassUnclear:              "Log in to the controller VM and run the command by hand: its answer has a form that Slipway does not know, or was cut.",
	ClassNoCommand:            "This is no controller VM, or its profile (/etc/profile) does not lead to Nutanix's commands.",
	ClassTLS:                  "Prism may still be starting, or something else listens on its port.",
}

func failed(class Class, op string, addr netip.Addr, cause error, format string, args ...any) *Error {
	return &Error{Class: class, Op: op, Addr: addr, Message: fmt.Sprintf(format, args...), Hint: hints[class], cause: cause}
}

// asError makes any error one of this package; nil stays nil.
func asError(err error, op string, addr netip.Addr) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return failed(ClassOf(err), op, addr, err, "%v", err)
}
