// Package graph is the GraphQL face: the schema (schema/), thin resolvers over
// deploy/query (reads), deploy/lifecycle (the only writer), deploy/operation
// (what needs a provider beside the database) and deploy/feed
// (streams), and the HTTP handler for them.
//
// Who may do what is decided for a whole operation before anything of it is
// executed (authorise.go). What a list selects decides what is loaded, in a
// constant number of queries a list (load.go). Errors that a caller can put
// right are data (usererror.go); all others carry a code and a request id and
// no inner text (errors.go).
//
// It may import deploy and its packages, gqlgen and graph/...; it reads ent's
// rows as deploy/query gives them and never writes through ent.
package graph

//go:generate go -C .. tool gqlgen generate
