// Package apply is the apply-changes workflow above its single steps: it takes
// documents of nodes, tells all that is wrong with them, shows what would be
// written, and runs the deployment script over them. A run is a row before
// anything is written or started, so that a restart at any instant goes on with
// it: Service.Run drives the runs of its host, and package workflow asks Stand
// where the run of a deployment stands.
//
// The script itself, its files and its marker are deploy.ScriptHost's. Phases
// and states are package lifecycle's: nothing here writes them but through it.
//
// It may import deploy, deploy/health, deploy/hostconfig, deploy/lifecycle,
// deploy/phase, deploy/store and the standard library.
package apply
