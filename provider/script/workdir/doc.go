// Package workdir is the work directory of a deployment script: the node files
// that the script reads, the marker that says that a run is in progress, and,
// in the directory .slipway, what must be known to take a run back and to find
// it again.
//
//	<work dir>/cluster/nodes/node_01.json …                     node files, mode 0640
//	<work dir>/.markers/deplyment_status/deployment_in_progress marker, empty (the
//	                                                            misspelling is what scripts rely on)
//	<work dir>/.scripts/deployment_service.sh                   the script
//	<work dir>/.slipway/marker.json                             whose marker it is
//	<work dir>/.slipway/run-<id>/plan.json                      what the run writes, and how far it is
//	<work dir>/.slipway/run-<id>/before/node_01.json            former contents
//
// Every file is written under a temporary name, fsynced and renamed. The former
// contents of all files are safe before the first one is replaced, so that a
// process may die between any two instructions: Write, called again, goes on,
// and Undo takes everything back. The directory is entered with os.Root: no
// symbolic link leads out of it, and node files and the marker that are links
// are refused.
//
// It may import deploy, the standard library and golang.org/x/sys/unix.
package workdir
