// Package ibmvpc is the provider ibm_vpc: it orders bare metal servers in an
// IBM Cloud VPC that boot from the network, watches them, and makes their
// records in IBM Cloud DNS Services.
//
// # How an order stays single
//
// The VPC API has neither an idempotency key nor tags on creation, so:
//
//   - everything has a deterministic name and a row in the journal that is
//     committed before the API is asked; the row becomes doubtful right before
//     the call and present after it;
//   - creates go over a client without retries (the SDK would repeat the POST),
//     everything else over one with;
//   - after an answer that tells nothing (time-out, 5xx, dropped connection, a
//     name that is taken) the resource is looked up by name through all pages,
//     and taken over only if it is surely ours; otherwise the order stops and
//     says why;
//   - an empty list soon after a lost answer proves nothing: it is looked up
//     for Config.DoubtWindow before the same name is posted again;
//   - a row that the deployment holds is what is worked on, whatever name the
//     node has by now and whichever deployment asked for it; a name is made only
//     for what has no row yet;
//   - DNS records have no names of ours: one that was never asked for is never
//     taken for ours, even if it is as ours would be;
//   - the virtual network interface is made before the server. It can have one
//     server only, which is a second guard besides the server's name, unique in
//     the region.
//
// # How a release leaves nothing
//
// It goes by what the node holds in the journal, in the order server,
// interfaces, addresses, PTR, A; nothing is touched before what stands on it is
// proven gone by a "not found". A row becomes releasing before the deletion is
// asked for, and gone with the proof. What is in doubt is looked for until its
// creation cannot arrive any more; the journal refuses new intents for a
// deployment that has ended. Making a server boot anew and replacing one that
// failed follow the same rule: recorded, then asked, then seen.
//
// Nothing here sleeps: a wait is a deploy.ProviderError with Temporary and
// Wait, and the caller repeats the call.
//
// The package may import deploy and IBM's SDKs. It never logs; credentials are
// in no error and no message. The SDK's problem texts GetConsoleMessage and
// GetDebugMessage are never asked for: they panic on an empty list of errors.
package ibmvpc
