// Package scalar is how the schema's own scalars look in JSON and in Go.
//
// What a client may have got wrong is an *Error, whose text may be shown.
//
// It may import gqlgen, deploy and the standard library.
package scalar
