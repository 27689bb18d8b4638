// Package privilege tells in words which right of Linux a process lacks when a
// socket cannot be opened: "permission denied" alone helps nobody.
//
// It may import the standard library only.
package privilege
