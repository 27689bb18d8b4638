// Package conformance is the one test suite that every provider passes:
//
//	func TestConformance(t *testing.T) { conformance.Run(t, newFixture) }
//
// It holds a provider to what the core relies on: every method can be called
// again at any time, a row in the journal comes before a call that makes
// something, a process that dies between any two instructions leaves nothing
// that is made twice or forgotten, and failures say whether trying again helps.
// What a provider offers beside ordering (release, reinstall, audit, adoption,
// console) is held likewise; what it does not offer is skipped.
//
// Only tests import it. It may import deploy and testing.
package conformance
