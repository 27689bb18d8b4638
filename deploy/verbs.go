package deploy

import (
	"context"
	"encoding/json"
	"time"
)

// The kinds of deployment.
const (
	KindInstall      = "install"      // a machine is ordered, or taken from the rack, and installed
	KindReinitialize = "reinitialize" // the node's present machine is installed anew
	KindAdopt        = "adopt"        // a machine that exists was taken into care; nothing was installed
)

// The statuses of a ReleaseStep.
const (
	ReleaseWaiting = "waiting"     // its turn has not come
	ReleaseActive  = "in_progress" // asked for; its end is awaited
	ReleaseDone    = "success"     // proven gone
	ReleaseKept    = "skipped"     // stays: it is not ours to remove
)

// Release names what is to be released: everything that the node holds.
type Release struct {
	NodeID       int64
	NodeName     string
	DeploymentID int64
}

// ReleaseStep is one thing that a release removes, in the order in which it
// is done.
type ReleaseStep struct {
	ResourceID int64  `json:"resource_id"` // row of the journal
	Kind       string `json:"kind"`
	Role       string `json:"role,omitempty"`
	Name       string `json:"name"`
	CloudID    string `json:"cloud_id,omitempty"`
	Action     string `json:"action"` // stop and delete, delete, look for, keep
	Status     string `json:"status"`
	// Message says what is being waited for or, once done, the proof: what was
	// asked, and that the answer was "not found", and when.
	Message string `json:"message,omitempty"`
}

// Releaser removes what a node holds at its provider, in the safe order. Both
// methods are idempotent.
type Releaser interface {
	// PlanRelease tells what Release would do; it changes nothing.
	PlanRelease(ctx context.Context, r Release) ([]ReleaseStep, error)
	// Release does what can be done now. It gives all steps with how they
	// stand, also beside an error. The error is a temporary ProviderError as
	// long as something is not proven gone; nil means that all is.
	Release(ctx context.Context, r Release) ([]ReleaseStep, error)
}

// ReleaseEach is a release of rows one by one, in their order: letGo ends a row
// that is not gone yet, and keeps it current. The first error is given beside all
// steps as they stand then; what comes after it was not touched.
func ReleaseEach(rows []Resource, stepOf func(Resource) ReleaseStep, letGo func(*Resource) error) ([]ReleaseStep, error) {
	steps := make([]ReleaseStep, len(rows))
	for i, row := range rows {
		steps[i] = stepOf(row)
	}
	for i := range rows {
		if rows[i].State == ResourceGone {
			continue
		}
		err := letGo(&rows[i])
		steps[i] = stepOf(rows[i])
		if err != nil {
			return steps, err
		}
	}
	return steps, nil
}

// Reinstaller makes the machine that a node has boot from the network again.
type Reinstaller interface {
	// Reinstall brings the node's machine to boot from o.BootURL, unless the
	// machine was made after o.AttemptSince, or this was done already for this
	// deployment and attempt: then it does nothing. It may be called again and
	// again; a temporary ProviderError says that it is under way.
	Reinstall(ctx context.Context, o Order) (Machine, error)
}

// CheckSeverity says what a check means that did not pass; of one that passed,
// what it would have meant, except that info is only worth knowing either way.
type CheckSeverity string

// The severities.
const (
	CheckInfo    CheckSeverity = "info"    // worth knowing
	CheckWarning CheckSeverity = "warning" // may go wrong
	CheckError   CheckSeverity = "error"   // will be refused, or fail
)

// Check is one line of the list that is gone through before a deployment.
type Check struct {
	Key      string        `json:"key"`   // stable: quota, profile, local_disks, subnets, addresses, names, dns_zone, boot_traffic, artifacts …
	Label    string        `json:"label"` // for people
	Severity CheckSeverity `json:"severity"`
	Passed   bool          `json:"passed"`
	Message  string        `json:"message"`         // what was found
	Hint     string        `json:"hint,omitempty"`  // what to do if it did not pass
	Field    string        `json:"field,omitempty"` // of the spec, if one field is to blame
}

// Planner goes the way of an order without its effects.
type Planner interface {
	// Plan checks everything that Order would need, and gives all findings at
	// once. NodeID and DeploymentID are zero for a node that is not there yet.
	// The error is for when the provider cannot be asked at all.
	Plan(ctx context.Context, o Order) ([]Check, error)
}

// Offer is what can be ordered at a provider now.
type Offer struct {
	Region         string         `json:"region"`
	Zones          []string       `json:"zones"`
	Profiles       []OfferProfile `json:"profiles"`
	Subnets        []OfferSubnet  `json:"subnets"`
	SecurityGroups []OfferNamed   `json:"security_groups"`
	SSHKeys        []OfferNamed   `json:"ssh_keys"`
	Images         []OfferNamed   `json:"images"` // those that boot from the network, newest first
	DNSZones       []OfferNamed   `json:"dns_zones"`
	// Servers that the account has, and may have; Quota 0 = not known.
	Servers int       `json:"servers"`
	Quota   int       `json:"quota"`
	AsOf    time.Time `json:"as_of"`
}

// OfferProfile is a machine type.
type OfferProfile struct {
	Name       string `json:"name"`
	Family     string `json:"family,omitempty"`
	CPUs       int    `json:"cpus"`
	MemoryGiB  int    `json:"memory_gib"`
	DataDisks  int    `json:"data_disks"`
	DataDiskGB int64  `json:"data_disk_gb"`
	// Usable is false for a profile that the installer cannot use; Why says so.
	Usable bool   `json:"usable"`
	Why    string `json:"why,omitempty"`
}

// OfferSubnet is a subnet of the provider's network.
type OfferSubnet struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Zone      string `json:"zone"`
	CIDR      string `json:"cidr"`
	Available int64  `json:"available_addresses"`
}

// OfferNamed is anything else with an id and a name.
type OfferNamed struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	// Default says that an order that names none of its kind gets it.
	Default bool `json:"default,omitempty"`
}

// Offerer tells what can be ordered.
type Offerer interface {
	Offer(ctx context.Context) (Offer, error)
}

// The ways in which journal and cloud can differ.
const (
	DriftOrphan  = "orphan"  // it has our name and is in the cloud, but no row holds it
	DriftMissing = "missing" // a row says present, the cloud says not found
	DriftForeign = "foreign" // a row's name is there, but it is not what the row describes
)

// Drift is one difference between the journal and the cloud.
type Drift struct {
	Problem    string     `json:"problem"`
	Kind       string     `json:"kind"`
	Name       string     `json:"name"`
	CloudID    string     `json:"cloud_id,omitempty"`
	Zone       string     `json:"zone,omitempty"`
	Status     string     `json:"status,omitempty"` // the cloud's own word
	Parent     string     `json:"parent,omitempty"` // a reserved IP's subnet, a record's zone: needed to address it
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	ResourceID int64      `json:"resource_id,omitempty"` // row of the journal
	NodeID     int64      `json:"node_id,omitempty"`
	Message    string     `json:"message"`
}

// Auditor compares the journal with the cloud.
type Auditor interface {
	// Audit lists every difference; rows is the whole journal of this provider.
	Audit(ctx context.Context, rows []Resource) ([]Drift, error)
	// RemoveOrphan deletes one thing that Audit called an orphan, after looking
	// that it still is one. The wait for its end is a temporary ProviderError.
	RemoveOrphan(ctx context.Context, d Drift) error
}

// Adopted is a machine that exists and was looked at, with what it is made of.
type Adopted struct {
	Machine
	Name      string
	Profile   string
	Zone      string
	Resources []AdoptedResource
}

// AdoptedResource becomes a row of the journal.
type AdoptedResource struct {
	Kind, Role, Name, CloudID string
	Details                   json.RawMessage
}

// Adopter takes a machine into care that Slipway did not make.
type Adopter interface {
	// Examine reads a machine by its id or name, and what belongs to it. It
	// changes nothing.
	Examine(ctx context.Context, idOrName string) (Adopted, error)
}

// Console is a way to a machine's console.
type Console struct {
	URL       string    // wss://…, contains a token that is good for one use
	Type      string    // serial or vnc
	ExpiresAt time.Time // after that the token is worth nothing
	Force     bool      // whether somebody else's session was ended for it
}

// Consoler opens consoles.
type Consoler interface {
	Console(ctx context.Context, nodeID int64, kind string, force bool) (Console, error)
}
