package phase

import (
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Key names a phase as scripts, REST and the database spell it.
type Key = string

// The phases of a deployment, and what a node shows after its end.
const (
	Pending          Key = "pending"
	ServerRequested  Key = "server_requested"
	MonitoringStart  Key = "monitoring_start"
	IPXEBoot         Key = "ipxe_boot"
	ConfigDownload   Key = "config_download"
	FoundationStart  Key = "foundation_start"
	NetworkConfig    Key = "network_config"
	StorageDiscovery Key = "storage_discovery"
	ImageDownload    Key = "image_download"
	Installation     Key = "installation"
	PostInstall      Key = "post_install"
	ConfigStored     Key = "config_stored"
	ScriptStarted    Key = "script_started"
	RebootWait       Key = "reboot_wait"
	SSHPolling       Key = "ssh_polling"
	ClusterFormation Key = "cluster_formation"
	DNSRegistration  Key = "dns_registration"
	HealthValidation Key = "health_validation"
	Deployed         Key = "deployed"
	Failed           Key = "failed"
	Canceled         Key = "canceled"
	Cleanup          Key = "cleanup"
	CleanupCompleted Key = "cleanup_completed"
)

// Owner is who reports a phase.
type Owner string

// The owners of phases.
const (
	OwnerWorkflow Owner = "workflow"
	OwnerBoot     Owner = "boot"
	OwnerMachine  Owner = "machine"
)

// Definition is one row of the phase table.
type Definition struct {
	Key         Key
	Label       string
	Description string
	Ordinal     int
	Owner       Owner
	// MachineMaySkip: the machine may pass over it; it gets a skipped run.
	MachineMaySkip bool
	Repeatable     bool
	// Deadline is how long the phase may take from its entry; zero only for
	// terminal ones.
	Deadline time.Duration
	// Retries is how often a passed deadline starts the phase again before it
	// fails the deployment.
	Retries  int
	Weight   float64
	Terminal bool
}

var definitions = map[Key]Definition{}

func define(d Definition) { definitions[d.Key] = d }

func init() {
	const m, h = time.Minute, time.Hour
	define(Definition{Key: Pending, Label: "Queued", Description: "Accepted; waits for a free slot.", Owner: OwnerWorkflow, Deadline: 24 * h})
	define(Definition{Key: ServerRequested, Label: "Server ordered", Description: "Addresses, interfaces and the server are being ordered.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 15 * m, Retries: 2, Weight: 2})
	define(Definition{Key: MonitoringStart, Label: "Waiting for boot", Description: "The machine exists; its first boot request is awaited.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 60 * m, Weight: 20})
	define(Definition{Key: IPXEBoot, Label: "Network boot", Description: "The boot script was served; the machine loads the install environment.", Owner: OwnerBoot, Repeatable: true, Deadline: 15 * m, Weight: 3})
	define(Definition{Key: ConfigDownload, Label: "Configuration", Description: "The machine asked for its configuration.", Owner: OwnerBoot, Repeatable: true, Deadline: 10 * m, Weight: 2})
	machine := func(k Key, label, text string, deadline time.Duration, weight float64) {
		define(Definition{Key: k, Label: label, Description: text, Owner: OwnerMachine, MachineMaySkip: true, Repeatable: true, Deadline: deadline, Weight: weight})
	}
	machine(FoundationStart, "Installer start", "The install environment runs.", 10*m, 3)
	machine(NetworkConfig, "Network setup", "Addresses, gateway and name servers are set.", 5*m, 3)
	machine(StorageDiscovery, "Disk discovery", "Disks are found and checked against the configuration.", 10*m, 3)
	machine(ImageDownload, "Image download", "Images arrive and their checksums are compared.", 45*m, 16)
	machine(Installation, "Installation", "Hypervisor and controller VM are written.", 60*m, 26)
	machine(PostInstall, "Post-install", "Access keys and final steps on the node.", 15*m, 6)
	define(Definition{Key: ConfigStored, Label: "Configuration stored", Description: "The node's document is written.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 2 * m, Weight: 2})
	define(Definition{Key: ScriptStarted, Label: "Script run", Description: "The deployment script runs.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 60 * m, Weight: 50})
	define(Definition{Key: RebootWait, Label: "Restart wait", Description: "The host restarts.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 5 * m, Weight: 8})
	define(Definition{Key: SSHPolling, Label: "SSH polling", Description: "The host is asked over SSH until it answers.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 15 * m, Weight: 20})
	define(Definition{Key: ClusterFormation, Label: "Cluster formation", Description: "The nodes form their cluster.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 30 * m, Weight: 8})
	define(Definition{Key: DNSRegistration, Label: "DNS records", Description: "Address and pointer records are made.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 10 * m, Retries: 3, Weight: 2})
	define(Definition{Key: HealthValidation, Label: "Health check", Description: "The node is logged in to and really answers.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 20 * m, Weight: 6})
	define(Definition{Key: Deployed, Label: "Deployed", Description: "Done and healthy.", Owner: OwnerWorkflow, Terminal: true})
	define(Definition{Key: Failed, Label: "Failed", Description: "A phase failed or its deadline passed.", Owner: OwnerWorkflow, Terminal: true})
	define(Definition{Key: Canceled, Label: "Canceled", Description: "Canceled by a user.", Owner: OwnerWorkflow, Terminal: true})
	define(Definition{Key: Cleanup, Label: "Cleanup", Description: "Everything held for the node is being released.", Owner: OwnerWorkflow, Repeatable: true, Deadline: 60 * m, Retries: 3})
	define(Definition{Key: CleanupCompleted, Label: "Cleaned up", Description: "Everything is gone, with proof.", Owner: OwnerWorkflow, Terminal: true})
	for _, keys := range sequences {
		for i, k := range keys {
			if d := definitions[k]; d.Ordinal == 0 {
				d.Ordinal = i + 1
				definitions[k] = d
			}
		}
	}
}

var machineKeys = []Key{IPXEBoot, ConfigDownload, FoundationStart, NetworkConfig, StorageDiscovery, ImageDownload, Installation, PostInstall}

// sequences gives each provider's phases in order. The first provider's
// ordinals are the public ones; a phase keeps its ordinal in every provider.
var sequences = map[string][]Key{
	deploy.ProviderIBMVPC: slices.Concat([]Key{Pending, ServerRequested, MonitoringStart}, machineKeys, []Key{ClusterFormation, DNSRegistration, HealthValidation, Deployed}),
}

func init() {
	sequences[deploy.ProviderRack] = slices.DeleteFunc(slices.Clone(sequences[deploy.ProviderIBMVPC]), func(k Key) bool { return k == ServerRequested })
	sequences[deploy.ProviderScript] = []Key{Pending, ConfigStored, ScriptStarted, RebootWait, SSHPolling, HealthValidation, Deployed}
	for i, k := range []Key{ConfigStored, ScriptStarted, RebootWait, SSHPolling} {
		d := definitions[k]
		d.Ordinal = 4 + i // between monitoring_start and health_validation; the script provider uses no other there
		definitions[k] = d
	}
	for i, k := range []Key{Failed, Canceled, Cleanup, CleanupCompleted} {
		d := definitions[k]
		d.Ordinal = 100 + i
		definitions[k] = d
	}
}

// Providers lists the providers that have a phase table.
func Providers() []string {
	return []string{deploy.ProviderIBMVPC, deploy.ProviderRack, deploy.ProviderScript}
}

// Catalogue gives a provider's phases in order, from pending to deployed; nil
// for an unknown provider.
func Catalogue(provider string) []Definition {
	keys := sequences[provider]
	if keys == nil {
		return nil
	}
	out := make([]Definition, len(keys))
	for i, k := range keys {
		out[i] = definitions[k]
	}
	return out
}

// All gives every phase known, by ordinal and key.
func All() []Definition {
	out := make([]Definition, 0, len(definitions))
	for _, d := range definitions {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Definition) int {
		if a.Ordinal != b.Ordinal {
			return a.Ordinal - b.Ordinal
		}
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}

// Lookup finds a phase by key.
func Lookup(k Key) (Definition, bool) {
	d, ok := definitions[k]
	return d, ok
}

// index gives a phase's place in a provider's sequence, -1 if it has none.
func index(provider string, k Key) int { return slices.Index(sequences[provider], k) }

// First is where a deployment of any provider begins.
func First(provider string) Key { return sequences[provider][0] }

// Before reports whether phase a comes before phase b for a provider; false if
// it has not both.
func Before(provider string, a, b Key) bool {
	i, j := index(provider, a), index(provider, b)
	return i >= 0 && j >= 0 && i < j
}
