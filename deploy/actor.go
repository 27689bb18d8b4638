package deploy

// ActorKind is what sort of somebody acts.
type ActorKind string

// The kinds of actor.
const (
	ActorUser    ActorKind = "user"    // a person, signed in at the app
	ActorToken   ActorKind = "token"   // a program with an API token
	ActorSystem  ActorKind = "system"  // Slipway itself
	ActorMachine ActorKind = "machine" // a machine with its report token
)

// Actor is who did something.
type Actor struct {
	Kind ActorKind
	Name string
}

// System is Slipway acting by itself.
var System = Actor{Kind: ActorSystem, Name: "slipway"}

// Source is where an event came from.
type Source string

// The sources of events.
const (
	SourceOrchestrator    Source = "orchestrator"
	SourceCloudAPI        Source = "cloud_api"
	SourceBootService     Source = "boot_service"
	SourceInstallerScript Source = "installer_script"
	SourceUser            Source = "user"
)
