// Package vpcsim simulates the parts of IBM Cloud that Slipway orders bare metal from: the VPC API (virtual private
// clouds, generation 2), DNS Services and the IAM token exchange, as one http.Handler.
//
// It exists so that the unchanged IBM SDKs (vpc-go-sdk, networking-go-sdk/dnssvcsv1) can be pointed at a loopback
// address and order, watch, reinitialize and release servers without an account. It is used by the demonstration,
// by tests, and as a process of its own (`slipway vpcsim`).
//
// # What is true and what is not
//
// Paths, methods, success codes and JSON names are those of vpc-go-sdk v0.87.0 and networking-go-sdk v0.53.4; the
// tests of this package hold every answer against the SDK's structs in both directions and against the SDK's own
// canned answers. Behaviour (unique names, what needs a stopped server, who owns an address, asynchronous deletes)
// follows the SDK's comments and IBM's documentation. Where IBM documents no answer the choice made here is marked
// "inferred" beside the code, and clients should decide by HTTP class, not by code string.
//
// Not simulated: floating IPs, virtual servers, volumes, the old child network interfaces of a bare metal server,
// the console's websocket, billing. A call to something that IBM has and the simulator has not is answered with 501
// (which go-sdk-core does not retry), never with an invented success.
//
// # Outside IBM's paths
//
// Everything under /_sim/ belongs to the simulator: POST, GET and DELETE /_sim/faults make it, or its machines, misbehave
// by rule or by seed, GET /_sim/state tells what has happened so far. The same can be done in Go: AddFaultRule, AddFault,
// ClearFaults, State.
//
// # Hardware
//
// The simulator decides when a server has power and tells a Hardware; what a powered machine does is not its
// business. All simulated subnets lie inside 127.64.0.0/16, so that a simulated machine can really bind its address.
//
// The package imports the standard library, github.com/google/uuid and golang.org/x/crypto/ssh; the IBM SDKs are
// imported by its tests only.
package vpcsim
