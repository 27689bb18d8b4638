// Package stats keeps how long phases usually take: median and 95th
// percentile of each phase, by provider and server profile, over the succeeded
// runs of the last 30 days. It owns the table phase_stats; package query reads
// it for estimates, and lifecycle to tell who is late.
//
// It may import deploy, deploy/phase, deploy/store and the standard library.
package stats
