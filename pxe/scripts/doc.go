// Package scripts holds the shell scripts that machines fetch and run while
// they install themselves, and serves them.
//
//   - foundation-init.sh runs the whole installation: configuration, network,
//     disks, artifacts, the deployment's installer, post-install;
//   - network-config.sh sets up the network of the install environment;
//   - post-install.sh makes the installed system reachable and reports its SSH
//     host key and boot id;
//   - report.sh posts reports, buffers them while the server is away, and holds
//     what the other three share.
//
// They are POSIX sh, tested with dash and busybox sh. Each file's header says
// what it does, its environment and its exit codes; docs/scripts.md says it for
// operators, and how to bring an installer.
//
// # Line numbers
//
// A failure at any line becomes a report that names script and line. POSIX sh
// has no ERR trap, and LINENO, which POSIX does ask for, is missing in Debian's
// dash and counts from the function in others. So what is served is the file
// with a marker, "L=<line>;", in front of every command (see mark); line numbers
// stay those of the file. With set -e and an EXIT trap that reads $L, every
// failure has its line in every shell.
//
// # Imports
//
// The package imports the standard library only. It knows neither the core nor
// the model: what a script needs to know is in the configuration document
// (package pxe/nodeconfig) or on the kernel's command line.
package scripts
