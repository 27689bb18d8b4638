// Package machine simulates the bare metal machines behind the simulated cloud
// of package vpcsim: what a server does once it has power.
//
// A Rack implements vpcsim.Hardware. Every machine that is powered on runs as a
// goroutine that does what the metal would do, over real HTTP from its own
// loopback address: it fetches the URL of its user data, interprets the iPXE
// script it gets (ipxe.go), fetches kernel and initial ramdisk and compares
// their SHA-256, and then runs the installation scripts that the server really
// serves, with a real shell and a real curl. The scripts see a root directory
// (SLIPWAY_ROOT) with the machine's own /proc/cmdline, disk inventory and disks
// (sparse files), and nothing tells them that they are not on metal. Afterwards
// the machine restarts and boots whatever is on its boot disk: an installed
// system with an SSH server, or the network again.
//
// # The cage
//
// Scripts never run with privileges (cage_linux.go). Started as root, a machine
// gives each script an unprivileged user without capabilities or a way to gain
// them, its own PID and mount namespace in which everything but the machine's
// own directory is read-only, and its own PATH: links to the few tools that the
// install environment has, and recording stand-ins for those that would change
// a real system. Started by an ordinary user, the scripts run as that user with
// no_new_privs and the same PATH. Either way the whole process group ends with
// the machine's power, and with the process that simulates it.
//
// # Faults
//
// Faults (Fault) live in the machine's environment: a tool that fails, a disk
// that hangs, a clock that is wrong, a download that breaks, a restart in the
// middle, a host key that is not the installed one. They are set by rule or by
// seed. Served scripts are never touched.
//
// # Controller VMs
//
// A machine that was installed with an address for a controller VM runs one there
// (cvm.go): the installer left keys and a host key on the disk, package cvmsim does
// the rest. All machines of a Rack share one network of them. It goes with the
// machine's power, and is gone with its disks.
//
// The package imports the standard library, golang.org/x/crypto/ssh,
// golang.org/x/sys/unix, package vpcsim (for vpcsim.Spec only) and package cvmsim.
package machine
