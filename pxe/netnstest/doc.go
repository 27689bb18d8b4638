// Package netnstest runs tests in a network namespace of their own, where they
// may take any port, make interfaces and speak DHCP without anybody else being
// there. The namespace goes away with the last process in it.
//
// Every process that it starts is also the first of a namespace of processes:
// when it ends, in whatever way, the kernel kills all that it had started.
//
// It may import the standard library and tools/present, and tests alone import
// it.
package netnstest
