package phase

import "github.com/slipwayhq/slipway/deploy"

// BootDecision is what a machine that asks must do.
type BootDecision string

// The boot decisions.
const (
	BootInstall BootDecision = "install"     // load the install environment
	BootAgain   BootDecision = "again"       // the same, the script was fetched before
	BootAttempt BootDecision = "new_attempt" // the same, as a new attempt: it rebooted in the middle
	BootWait    BootDecision = "wait"        // queued: ask again later
	BootDisk    BootDecision = "disk"        // installed: boot the disk
	BootStop    BootDecision = "stop"        // nothing to install: stop with a clear text
	BootFail    BootDecision = "fail"        // it rebooted too often: the attempt has failed
)

// MaxReboots is how many new attempts a machine may open by rebooting in the
// middle of an install.
const MaxReboots = 2

// BootFacts is what the decision needs to know.
type BootFacts struct {
	Provider string
	State    State // empty: the machine has no deployment
	Open     Key
	Reboots  int // attempts that a reboot opened already
}

// DecideBoot says what a machine must boot. A machine with nothing to install
// is never installed.
func DecideBoot(f BootFacts) BootDecision {
	rest := BootStop
	if f.Provider == deploy.ProviderRack && f.State != "" {
		rest = BootDisk
	}
	switch f.State {
	case Queued:
		return BootWait
	case Running:
	default:
		return rest
	}
	at, boot, done := index(f.Provider, f.Open), index(f.Provider, IPXEBoot), index(f.Provider, PostInstall)
	switch {
	case at < 0 || boot < 0:
		return BootStop
	case at < boot:
		return BootInstall
	case at == boot:
		return BootAgain
	case at > done:
		return rest
	case f.Reboots < MaxReboots:
		return BootAttempt
	}
	return BootFail
}
