// Package installer has the install environment's recipe: build.sh makes a
// kernel and an initial ramdisk of Debian's parts and of root/, whose init runs
// the server's foundation-init.sh (`make installer`).
//
// There is no Go in it but the test of the recipe.
//
// It may import the standard library, testify and tools/present.
package installer
