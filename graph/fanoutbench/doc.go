// Package fanoutbench measures what it costs to bring one event to many
// subscribers: from the commit of a report to the sockets of a subscription,
// with one execution for all (graph/wstransport) and with gqlgen's own
// websocket transport, on the same schema, resolvers, feed and database.
//
// It has benchmarks only. The server is a process of its own, so that its
// processor time can be told from its clients'.
//
// The benchmarks may import graph/... and the core.
package fanoutbench
