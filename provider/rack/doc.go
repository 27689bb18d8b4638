// Package rack is the provider rack: machines that one has already. Nothing is
// ordered and nothing is paid for; the machine is switched on by its owner and
// boots from the network, identified by the MAC address of its boot interface.
//
// It may import deploy only.
package rack
