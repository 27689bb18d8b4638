// Package schema is the hand-written model of Slipway's database: entities,
// their columns, and the constraints the database itself enforces (one active
// deployment a node, one open phase run a deployment, unique stream positions
// and sequences, append-only history).
//
// It may import entgo.io/ent only. Everything else below ent/ is generated
// from it, and the versioned migrations in ent/migrations are its diff.
package schema
