// Package journal keeps the table resources: what was made, or is about to be
// made, in a cloud for a node. It implements deploy.Journal.
//
// A row with its deterministic name is committed before the cloud is asked, so
// that whatever happens afterwards, there is something that says what to look
// for. Transactions are short and never span a call to a cloud.
//
// It may import deploy and deploy/store.
package journal
