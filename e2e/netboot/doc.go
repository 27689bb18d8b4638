// Package netboot proves network boot with machines that are not ours: QEMU
// virtual machines whose firmware finds Slipway through proxyDHCP beside a DHCP
// server that knows nothing of it (dnsmasq), load a boot program over TFTP and
// the rest over HTTP, run the served scripts, boot their disk and are deployed.
//
// The tests run in network namespaces of their own, which needs root; without it
// they are skipped. The user-network machines, which need no privilege, are in
// cmd/slipway.
//
// It has tests only; they may import the client, pxe/netnstest, tools/present and
// the hardware, provider/ibmvpc/vpcsim/qemu.
package netboot
