// Command standins writes the small files that stand for a vendor's kernel,
// ramdisk, images and installer in front of simulated machines, and prints a
// line for each: name, kind, version and path, separated by tabs.
//
// Usage: standins DIR
//
// It may import provider/ibmvpc/vpcsim/machine and the standard library.
package main
