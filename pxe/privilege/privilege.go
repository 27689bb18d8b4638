package privilege

import (
	"errors"
	"fmt"
	"syscall"
)

// The capabilities that the boot service may need (capabilities(7)).
const (
	BindService = "CAP_NET_BIND_SERVICE" // ports below 1024
	Raw         = "CAP_NET_RAW"          // binding to an interface, on Linux before 5.7
)

// Missing says that a capability is lacking, and what for.
type Missing struct {
	Capability string
	For        string
	Hint       string
	Err        error
}

func (e *Missing) Error() string {
	return fmt.Sprintf("%s needs the capability %s, which this process does not have (%s): %v", e.For, e.Capability, e.Hint, e.Err)
}

func (e *Missing) Unwrap() error { return e.Err }

// Port explains why a port cannot be had: without the capability the kernel
// answers EACCES to bind(2). Other errors are only given their place.
func Port(err error, port int) error {
	what := fmt.Sprintf("UDP port %d", port)
	if errors.Is(err, syscall.EACCES) {
		return &Missing{Capability: BindService, For: what, Err: err,
			Hint: "systemd: AmbientCapabilities=" + BindService + "; a container: --cap-add NET_BIND_SERVICE; or set the sysctl net.ipv4.ip_unprivileged_port_start"}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: another program has it: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Interface explains why a socket cannot be bound to an interface: without the
// capability Linux before 5.7 answers EPERM to SO_BINDTODEVICE (socket(7)).
func Interface(err error, name string) error {
	if errors.Is(err, syscall.EPERM) {
		return &Missing{Capability: Raw, For: "binding to the interface " + name, Err: err,
			Hint: "systemd: AmbientCapabilities=" + Raw + "; a container: --cap-add NET_RAW; Linux 5.7 and later does without"}
	}
	return fmt.Errorf("interface %s: %w", name, err)
}
