// Package deploy holds the words that the whole core shares: typed errors and
// their codes, who acts, what is asked for, and the small interfaces that
// providers satisfy.
//
// It may import the standard library only. Its sub-packages are the core
// itself (phase, lifecycle, feed, workflow, query, access, journal, store);
// they may import it and ent, never HTTP, GraphQL or a cloud SDK.
package deploy
