package health

// Class says in one stable word how a check ended.
type Class string

// The classes of a check.
const (
	// ClassOK: logged in to the right machine, and it has restarted.
	ClassOK Class = "ok"
	// ClassRefused: the address answers, nothing listens on the port.
	ClassRefused Class = "refused"
	// ClassUnreachable: no route, no such host, or the network reset us.
	ClassUnreachable Class = "unreachable"
	// ClassTimeout: no answer in time, at the step that Message names.
	ClassTimeout Class = "timeout"
	// ClassProtocol: something listens, but it does not finish an SSH handshake.
	ClassProtocol Class = "protocol_error"
	// ClassAuthFailed: the right machine, but it does not take our key.
	ClassAuthFailed Class = "auth_failed"
	// ClassWrongHost: another host key than the machine reported, or no usable
	// host key is known. Trying again cannot help.
	ClassWrongHost Class = "wrong_host"
	// ClassNotRestarted: the boot id is still the one of the install environment.
	ClassNotRestarted Class = "not_restarted"
	// ClassCommandFailed: logged in, but the command did not run.
	ClassCommandFailed Class = "command_failed"
	// ClassCanceled: the caller gave up; it says nothing about the machine.
	ClassCanceled Class = "canceled"
)

// Result is what one check found.
type Result struct {
	Class   Class
	Message string // one sentence, for people
	Hint    string // what to look at; empty when all is well
	BootID  string // the kernel's boot id as read, empty if it could not be read
	// HostKey is the key that the machine showed, "<type> <base64>", and
	// Fingerprint its SHA-256 as OpenSSH prints it (RFC 4648 base64 without
	// padding); both empty if it showed none.
	HostKey     string
	Fingerprint string
}

// OK reports whether the machine proved itself.
func (r Result) OK() bool { return r.Class == ClassOK }

// Permanent reports whether another try cannot help. Everything else is to be
// tried again until the phase's deadline.
func (r Result) Permanent() bool { return r.Class == ClassWrongHost }

var hints = map[Class]string{
	ClassRefused:       "The machine is up but its SSH server is not (yet). If this lasts, look at the machine's console.",
	ClassUnreachable:   "Check the management address, the routes and the security groups between Slipway and the machine.",
	ClassTimeout:       "The machine may still be booting, or a firewall drops the packets. If this lasts, look at its console and the security groups.",
	ClassProtocol:      "Something else than an SSH server listens on this port, or the SSH server is overloaded or still starting.",
	ClassAuthFailed:    "The machine does not accept Slipway's key for this user: see whether post_install wrote the authorized keys.",
	ClassWrongHost:     "Another machine answers on this address, or the host key was made anew after it was reported. Look for a duplicate address; deploy again if the node was reinstalled by hand.",
	ClassNotRestarted:  "The machine has not restarted into its installed system since the installation ended.",
	ClassCommandFailed: "The login works but commands do not run: look at the user's shell and at the disks.",
}

func result(class Class, message string) Result {
	return Result{Class: class, Message: message, Hint: hints[class]}
}
