// Package server is the HTTP face: the router with its table of access rules,
// middleware, sign-in, the REST shim under /api, the event stream over SSE,
// the app at /monitoring, health and metrics. GraphQL and the boot service are
// handlers that it mounts.
//
// Every route has an access rule in one table (routes.go); a route without one
// cannot be registered, and without credentials a rule denies unless it is
// Open.
//
// It may import deploy and its sub-packages; no graph, pxe, provider, and never
// writes through ent.
package server
