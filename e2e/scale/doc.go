// Package scale measures whole deployments: the real parts of Slipway in one
// process with the simulated cloud and a herd of machines that are goroutines
// (provider/ibmvpc/vpcsim/herd), through all phases, from the order to the SSH
// login that proves a node.
//
//	go test -run '^$' -bench Deployments -timeout 60m ./e2e/scale
//
// SLIPWAY_SCALE chooses how many deployments (100; for instance "100,1000,10000"),
// SLIPWAY_SCALE_SLOTS how many run at once (100), SLIPWAY_SCALE_DOWNLOADS how many
// of them may download at once (100: a download takes no time here, and who waits
// asks every two seconds), SLIPWAY_SCALE_POSTGRES=1 the database,
// SLIPWAY_SCALE_WATCH=1 shows where they are.
// Each run leaves a CPU profile with its top, and a heap profile, in .cache/scale.
//
// It has benchmarks and their tests only; they may import everything but cmd,
// graph and the client.
package scale
