// Package bootbench measures how boot files are served, against the programs
// that others use for it, in the same run and on the same files: TFTP against
// tftpd-hpa and dnsmasq, images over HTTP against nginx. A server is always a
// process of its own, so that its processor time can be told from the clients'.
//
// It has benchmarks only.
//
// The benchmarks may import pxe/program, pxe/tftp and tools/present.
package bootbench
