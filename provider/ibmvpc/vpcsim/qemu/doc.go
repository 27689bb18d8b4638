// Package qemu is hardware for the simulated cloud of package vpcsim that is not
// simulated by us: every server is a QEMU virtual machine with SeaBIOS, iPXE from
// its network card's ROM and disks of the profile's sizes (sparse files). It is
// slower than package machine, and knows nothing of Slipway: what boots here
// boots from the network as a real server does, with a real kernel.
//
// A machine has QEMU's user network, which needs no privilege: inside it has its
// own address by DHCP, and the server's host answers at the subnet's gateway.
// From outside it is reached through Rack.Dial, which knows the port that its SSH
// server is forwarded from.
//
// Firmware and boot loader speak on the serial line, which is the console.
//
// Always QEMU's own translator (TCG): whether a host's KVM works cannot be told
// from the presence of its device.
//
// StandIns makes the artifacts of an installation that such a machine boots
// from its disk: the files of `make installer` with a system of their own.
//
// The package may import the standard library, and packages vpcsim and machine.
package qemu
