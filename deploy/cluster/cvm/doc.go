// Package cvm asks Nutanix controller VMs what a cluster needs to know of them
// and tells them what a cluster needs done, over SSH: `cluster status`,
// `cluster -s … create`, `ncli cluster add-node`, `cluster stop` and `cluster
// destroy`; and whether Prism answers TLS.
//
// It may import the standard library, golang.org/x/crypto/ssh, deploy (the
// words of errors) and deploy/health (the words of failures). It knows no
// database and keeps no state: Validate, ParseStatus, Decide, DecideJoin and
// DecideDestroy are pure, and the rest asks once and tells what it was told.
//
// # Steps that may be made again
//
// Form, Join and Destroy each make one step: look at every member, decide by a
// function of the facts, act at most once, say what is waited for. What may
// have happened is looked at before it is repeated, so a caller that was killed
// calls again. Three things hold on the controller VM itself, whoever calls:
//
//   - a job holds a lock of the kernel's (flock) for as long as it lives, so that
//     no two run at once, and "it runs" is never read from a file that could be old;
//   - the token of the attempt is written before the job begins, and the same
//     token begins nothing again;
//   - the job runs apart from the connection, so neither a cut connection nor the
//     end of Slipway ends it half-way. Its output and exit status stay in
//     ~nutanix/.slipway.
//
// An exit status makes no cluster: what every member says in `cluster status`
// does. An answer that is cut, garbled or contradicts itself is "unclear", and
// nothing is concluded from it.
//
// # What is Nutanix's, and what is assumed
//
// Published by Nutanix or by users of Community Edition 2.0 (AOS 6) with the
// output of their clusters, and held to by the golden files of this package:
//
//   - `cluster status` on a controller VM of no cluster logs "Cluster is currently
//     unconfigured. Please create the cluster.";
//   - on a member it prints "The state of the cluster: start", "Lockdown mode: …"
//     and for each member "CVM: <address> Up[, ZeusLeader]" with a line for each
//     service, "<name> UP [<pids>]" or "<name> DOWN []"; after `cluster stop`
//     the state is "stop" and all but the first few services are DOWN;
//   - `cluster -s <a>,<b>,<c> --redundancy_factor=N --cluster_name=… --cluster_external_ip=…
//     --dns_servers=… --ntp_servers=… create` creates, takes some six minutes for three
//     members, prints a status and ends with "Success!"; it fails with "Could not
//     discover all nodes specified" if one of them is a member elsewhere or silent;
//   - `cluster stop` asks "(I agree/[N])"; `cluster destroy` asks before it erases, and
//     afterwards every member is unconfigured;
//   - `ncli cluster discover-nodes` and `ncli cluster add-node node-uuid=…` grow a cluster
//     (Nutanix Bible); a cluster of one node cannot be grown;
//   - Prism listens on port 9440 with a certificate that nobody signed.
//
// Assumed, and to be proven with real software only:
//
//   - the node reports its controller VM's own SSH host key, and the installer has put
//     Slipway's public key there for user nutanix. Nutanix's default password is never
//     used;
//   - the login shell is bash, /etc/profile leads to `cluster` and `ncli`, and flock(1) of
//     util-linux is there;
//   - `cluster stop` and `cluster destroy` take their confirmation from a pipe;
//   - a member that "does not answer the others" is printed as "CVM: <address> Down";
//   - the services Zeus, Medusa, Stargate and Prism are listed in every release;
//   - the lines of `ncli cluster discover-nodes` have the form "name : value", with the
//     UUID in one whose name begins with "Node" and ends with "Uuid" (or is "Uuid");
//   - --skip_discovery exists where it is asked for;
//   - how a creation that was interrupted looks from each member. Every mixture is judged
//     by what it says, and none is mended by guessing.
package cvm
