// Package proxydhcp tells network boot firmware what to boot, beside the DHCP
// server that gives it its address (PXE 2.1 section 2.2, "proxyDHCP"). It never
// gives an address, and answers nobody but machines that are to be installed.
//
// What is answered is Answer, a pure function of a packet and the settings. The
// server around it listens on the ports 67 and 4011 of one interface and asks
// who may boot.
//
// It may import pxe/program, pxe/privilege, pxe/quiet, the DHCP library and
// golang.org/x/sys/unix.
package proxydhcp
