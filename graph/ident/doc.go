// Package ident is the form of global ids: a short type tag, an underscore,
// the database id ("node_12"). To clients they are opaque.
//
// It may import the standard library only.
package ident
