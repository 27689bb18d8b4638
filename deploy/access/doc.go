// Package access owns every secret that Slipway gives out: API tokens, sign-in
// codes, sessions, report tokens of machines and boot locators. A secret is
// shown once, when it is made; the database has its SHA-256 only. All of them
// carry at least 160 random bits, so a plain hash is enough: there is nothing
// to guess from a dictionary.
//
// The package says who somebody is (Principal) and what a role may do. What is
// allowed where is decided by the faces that ask.
//
// It may import deploy, deploy/phase, deploy/store, ent and golang.org/x/time/rate;
// no HTTP, no GraphQL.
package access
