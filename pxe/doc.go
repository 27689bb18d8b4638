// Package pxe is the face that machines see while they boot: iPXE scripts at
// /boot/d/{locator} and /boot/config, the node configuration at
// /boot/server/{ip}, artifacts at /boot/images/{name}, shell scripts at
// /boot/scripts/{name}, boot programs
// at /boot/programs/{name}, and the queue for download slots at /boot/downloads. What a machine must do is decided by deploy/lifecycle;
// this package finds out who asks and puts the answer into words that firmware
// understands.
//
// It may import deploy and its sub-packages and its own sub-packages (artifact,
// nodeconfig, program, scripts); no server, no graph, no provider.
package pxe
