// Package program owns the boot programs: the network boot loaders that firmware
// asks for before it can run an iPXE script. They are read once, from Debian's
// ipxe package and from a directory of the operator's, and kept in memory with
// what people want to know of them: version, SHA-256, size and the firmware that
// can run them.
//
// It may import the standard library only.
package program
