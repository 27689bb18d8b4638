// Package wstransport serves GraphQL over WebSocket: the subprotocol
// graphql-transport-ws (github.com/enisdenjo/graphql-ws, PROTOCOL.md) on
// gqlgen's executor, with the protocol's close codes, limits for everything a
// peer can make grow, and a queue of bounded size per socket, so that a peer
// that stops reading costs its own memory and nothing else.
//
// An idle socket is one goroutine: the handler returns after the upgrade, and
// a socket's writer lives only while there is something to write. A writer
// sends all frames that are waiting in one system call. The payload of a
// message is kept apart from its header, so that one encoded payload can be
// queued on many sockets without copying.
//
// Operations that say the same to everybody (Plan, Config.Share) are executed
// and encoded once for all of them. A client first gets what it lacks, by
// executions that end where the shared messages go on, and is then a member of
// its operation's group, which costs it no goroutine. Every message says which
// stretch of the stream it covers (Mark), so that each client gets each stretch
// once, whatever the order in which clients come, go, and fall behind. The
// group never waits for a member: one whose queue is full goes on alone at its
// own pace, and comes back.
//
// It may import gqlgen, gorilla/websocket and the standard library, nothing
// of Slipway's.
package wstransport
