// Package admission decides which machines may download their images now. A
// machine asks before it begins; it is let in when a download slot is free and
// the bytes that are under way leave room for its own, in the order in which
// machines asked first.
//
// Nothing is kept in memory. A slot is an open run of the phase image_download
// with admitted_at set, so that it is free again the moment the phase ends,
// however it ends. A machine that has fallen silent does not count: it neither
// holds a slot nor stands before others. The clock of the phase stands still
// while its machine waits, and runs again when the machine stops asking.
//
// decide.go is the decision, pure; service.go counts and records it through
// the one writer.
//
// It may import deploy, deploy/phase, deploy/lifecycle, deploy/store and the
// standard library.
package admission
