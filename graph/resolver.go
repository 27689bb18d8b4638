package graph

// Resolver is the root of all resolvers.
type Resolver struct {
	Deps
	schemaHash string
	summaries  *summaries
}
