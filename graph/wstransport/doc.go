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
// It may import gqlgen, gorilla/websocket and the standard library, nothing
// of Slipway's.
package wstransport
