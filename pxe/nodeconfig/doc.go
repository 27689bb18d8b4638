// Package nodeconfig is the document a machine asks for while it installs
// itself: who it is, how its network and disks are laid out, what it must
// download, and where it reports.
//
// The document has two renderings of the same data. [Config.JSON] is for
// programs. [Config.Shell] is for the install environment, which has no JSON
// parser: a list of shell assignments that any POSIX shell can source.
//
// # The shell rendering
//
// Every name starts with CFG_. The rest is the JSON path in upper case, joined
// by underscores; characters that a shell name cannot hold become underscores
// too. Array elements are numbered from 1, and each array also has a _COUNT:
//
//	CFG_NODE_CONFIG_NODE_NAME='metal-1'
//	CFG_ARTIFACTS_1_SHA256='9f86d0…'
//	CFG_ARTIFACTS_COUNT=1
//	CFG_SCRIPTS_REPORT_SH_SHA256='…'
//
// Strings are single-quoted, so nothing in them is ever expanded or run;
// numbers are bare; true and false are 1 and 0; null and absent members have no
// line. The first line is [ShellHeader] and the last is [ShellFooter], which is
// how a script recognises a cut-off answer before it sources it.
//
// # Imports
//
// The package imports the standard library only. It does no I/O: building a
// document from the model is the boot service's work, and acting on one is the
// served scripts' work (package pxe/scripts).
package nodeconfig
