// Package model is the schema's types in Go: generated from the schema, but
// for connections, which count only when they are asked to.
//
// It may import the standard library only.
package model
