package deploy

import "time"

// Probe is where the polling of a host stands: it waits for its first attempt,
// makes one, or waits for the next.
type Probe struct {
	Target      string     `json:"target"`                 // address and port
	Attempt     int        `json:"attempt"`                // attempts made
	MaxAttempts int        `json:"max_attempts"`           // after which it is given up
	NextAt      *time.Time `json:"next_at,omitempty"`      // when the next one begins; nil: there is none
	LastAt      *time.Time `json:"last_at,omitempty"`      // when the last one began
	Class       string     `json:"class,omitempty"`        // error class of the last one, empty if it had none
	Message     string     `json:"message,omitempty"`      // of the last one
	OfferedKey  string     `json:"offered_key,omitempty"`  // host key that was not the pinned one
	Fingerprint string     `json:"fingerprint,omitempty"`  // of it, SHA256:… (RFC 4648 base64, as OpenSSH shows it)
	PinnedPrint string     `json:"pinned_print,omitempty"` // of the pinned one
}
