// Package netnstest runs tests in a network namespace of their own, where they
// may take any port, make interfaces and speak DHCP without anybody else being
// there. The namespace goes away with the last process in it.
//
// It may import the standard library and tools/present, and tests alone import
// it.
package netnstest
