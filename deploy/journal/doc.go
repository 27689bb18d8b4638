// Package journal keeps the table resources: what was made, or is about to be
// made, in a cloud for a node. It implements deploy.Journal.
//
// A row with its deterministic name is committed before the cloud is asked, so
// that whatever happens afterwards, there is something that says what to look
// for. Transactions are short and never span a call to a cloud.
//
// Nothing is intended for a deployment that has ended or no longer holds its
// node, and nothing becomes doubtful: after a cancel, a cleanup meets only what
// had been asked for before. The deployment's row is locked before the
// resource's.
//
// It may import deploy, deploy/phase and deploy/store.
package journal
