package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Check is a line of the list that is gone through before a deployment.
type Check struct {
	Key, Label, Severity, Message, Hint, Field string
	Passed                                     bool
}

// Plan is what would become of an order.
type Plan struct {
	OK               bool
	Checks           []Check
	EstimatedSeconds *float64 `json:"estimated_seconds"`
	Ahead            int
	Message          string
}

// Order is a machine that is asked for, as the REST face reads it.
type Order struct {
	Node    OrderNode    `json:"node_config"`
	Network OrderNetwork `json:"network_config"`
}

// OrderNode is the machine itself.
type OrderNode struct {
	Name      string            `json:"node_name"`
	Profile   string            `json:"server_profile"`
	Provider  string            `json:"provider,omitempty"`
	Zone      string            `json:"zone,omitempty"`
	Installer string            `json:"installer,omitempty"`
	Image     string            `json:"image,omitempty"` // of a server of IBM Cloud, as the keys
	Keys      []string          `json:"keys,omitempty"`
	MAC       string            `json:"mac,omitempty"`
	Serial    string            `json:"serial,omitempty"` // of a rack machine's firmware
	Power     *Power            `json:"power,omitempty"`  // of a rack machine; nil = by a person
	Labels    map[string]string `json:"labels,omitempty"`
}

// Power is how a rack machine is switched.
type Power struct {
	Type         string `json:"type"` // manual or redfish
	URL          string `json:"url,omitempty"`
	Username     string `json:"username,omitempty"`
	PasswordRef  string `json:"password_ref,omitempty"` // the name of a secret of the server
	SystemID     string `json:"system_id,omitempty"`
	CAFile       string `json:"ca_file,omitempty"`
	InsecureTLS  bool   `json:"insecure_tls,omitempty"`
	BootFrom     string `json:"boot_from,omitempty"` // pxe or http
	BootMode     string `json:"boot_mode,omitempty"` // uefi or legacy
	OffAtRelease bool   `json:"off_at_release,omitempty"`
}

// OrderNetwork is where it is put.
type OrderNetwork struct {
	ManagementSubnet string   `json:"management_subnet,omitempty"`
	WorkloadSubnets  []string `json:"workload_subnets,omitempty"`
	SecurityGroups   []string `json:"security_groups,omitempty"`
	ManagementIP     string   `json:"management_ip,omitempty"`
	AHVIP            string   `json:"ahv_ip,omitempty"`  // of the hypervisor
	CVMIP            string   `json:"cvm_ip,omitempty"`  // of the controller VM
	Netmask          string   `json:"netmask,omitempty"` // of a rack machine, as the gateway
	Gateway          string   `json:"gateway,omitempty"`
	DNSServers       []string `json:"dns_servers,omitempty"`
}

// Plan asks what would become of an order; nothing is done.
func (c *Client) Plan(ctx context.Context, o Order) (Document[Plan], error) {
	var out Document[Plan]
	_, err := c.rest(ctx, http.MethodPost, "/api/config/nodes?dry_run=true", o, &out)
	return out, err
}

// NodeCard is a node as the REST face tells of it.
type NodeCard struct {
	ID               int64
	NodeName         string  `json:"node_name"`
	Provider         string  `json:"provider"`
	DeploymentStatus string  `json:"deployment_status"`
	State            *string `json:"state"`
	DeploymentID     *int64  `json:"deployment_id"`
	ManagementIP     *string `json:"management_ip"`
	Protected        bool
	ProtectNote      string `json:"protect_note"`
}

// FindNode reads the node that has a name or an id (node_7, or 7: a name has a
// letter); ErrNotFound if there is none.
func (c *Client) FindNode(ctx context.Context, nameOrID string) (NodeCard, error) {
	id := nameOrID
	if _, err := strconv.ParseInt(strings.TrimPrefix(nameOrID, "node_"), 10, 64); err != nil {
		resp, err := NodeByName(ctx, c.gql, nameOrID)
		if err != nil {
			return NodeCard{}, fmt.Errorf("looking for node %q: %w", nameOrID, err)
		}
		if resp.BareMetalNode == nil {
			return NodeCard{}, ErrNotFound
		}
		id = resp.BareMetalNode.Id
	}
	var out NodeCard
	status, err := c.rest(ctx, http.MethodGet, "/api/config/nodes/"+url.PathEscape(id), nil, &out)
	if status == http.StatusNotFound {
		return NodeCard{}, ErrNotFound
	}
	return out, err
}

// Verb is how a deployment stands after what was asked of it.
type Verb struct {
	NodeID       int64 `json:"node_id"`
	DeploymentID int64 `json:"deployment_id"`
	State        string
	CurrentPhase string `json:"current_phase"`
	Attempt      int
	Message      string
}

// Retry begins another attempt of a failed deployment; from is the phase to
// begin with, empty for the one that failed.
func (c *Client) Retry(ctx context.Context, deployment, from string) (Verb, error) {
	var out Verb
	_, err := c.rest(ctx, http.MethodPost, "/api/deployments/"+url.PathEscape(deployment)+"/retry", map[string]string{"from_phase": from}, &out)
	return out, err
}

// Cancel ends a deployment, when its open phase ends or at once.
func (c *Client) Cancel(ctx context.Context, deployment string, immediate bool, reason string) (Verb, error) {
	mode := "after_current_phase"
	if immediate {
		mode = "immediate"
	}
	var out Verb
	_, err := c.rest(ctx, http.MethodPost, "/api/deployments/"+url.PathEscape(deployment)+"/cancel", map[string]string{"mode": mode, "reason": reason}, &out)
	return out, err
}

// Accepted is a deployment that was accepted.
type Accepted struct {
	NodeID       int64 `json:"node_id"`
	DeploymentID int64 `json:"deployment_id"`
	Message      string
}

// Reinitialize installs a node's present machine anew; confirm is the node's
// name, empty if nobody was asked.
func (c *Client) Reinitialize(ctx context.Context, nodeID int64, confirm string) (Accepted, error) {
	in := map[string]any{"node_id": nodeID}
	if confirm != "" {
		in["confirm"] = confirm
	}
	var out Accepted
	_, err := c.rest(ctx, http.MethodPost, "/api/reinitialize", in, &out)
	return out, err
}

// ReleaseStep is one thing that a cleanup removes.
type ReleaseStep struct {
	Kind, Role, Name, Action, Status, Message string
	CloudID                                   string `json:"cloud_id"`
}

// Cleanup is the plan of a cleanup.
type Cleanup struct {
	NodeID       int64  `json:"node_id"`
	NodeName     string `json:"node_name"`
	DeploymentID int64  `json:"deployment_id"`
	DryRun       bool   `json:"dry_run"`
	Plan         []ReleaseStep
	Message      string
}

// PlanCleanup tells what a cleanup of a node would remove; nothing is done.
func (c *Client) PlanCleanup(ctx context.Context, nodeID int64) (Cleanup, error) {
	var out Cleanup
	_, err := c.rest(ctx, http.MethodPost, fmt.Sprintf("/api/cleanup/node/%d?dry_run=true", nodeID), nil, &out)
	return out, err
}

// Cleanup releases everything that a node holds; confirm must be its name.
func (c *Client) Cleanup(ctx context.Context, nodeID int64, confirm string) (Cleanup, error) {
	var out Cleanup
	_, err := c.rest(ctx, http.MethodPost, fmt.Sprintf("/api/cleanup/node/%d", nodeID), map[string]string{"confirm": confirm}, &out)
	return out, err
}

// CleanupStatus is how a cleanup stands.
type CleanupStatus struct {
	NodeName         string `json:"node_name"`
	State            string
	CleanupCompleted bool `json:"cleanup_completed"`
	Message          string
	Failure          *struct{ Code, Message, Hint string }
	Steps            []ReleaseStep
}

// CleanupOf reads how the cleanup of a deployment stands; ErrNotFound if it was
// never asked for.
func (c *Client) CleanupOf(ctx context.Context, deploymentID int64) (CleanupStatus, error) {
	var out struct {
		CleaningUp []CleanupStatus `json:"cleaning_up"`
		Failed     []CleanupStatus
		CleanedUp  []CleanupStatus `json:"cleaned_up"`
	}
	if _, err := c.rest(ctx, http.MethodGet, fmt.Sprintf("/api/cleanup/status?deployment_id=%d", deploymentID), nil, &out); err != nil {
		return CleanupStatus{}, err
	}
	for _, list := range [][]CleanupStatus{out.CleaningUp, out.Failed, out.CleanedUp} {
		if len(list) > 0 {
			return list[0], nil
		}
	}
	return CleanupStatus{}, ErrNotFound
}

// Protect protects a node from cleanup and reinitialize, or no longer.
func (c *Client) Protect(ctx context.Context, nodeID int64, protected bool, note string) error {
	_, err := c.rest(ctx, http.MethodPost, fmt.Sprintf("/api/nodes/%d/protection", nodeID), map[string]any{"protected": protected, "note": note}, nil)
	return err
}

// Resource is one thing that was made in a cloud for a node.
type Resource struct {
	ID        int64
	NodeName  string `json:"node_name"`
	Kind      string
	Role      string
	Name      string
	State     string
	CloudID   *string   `json:"cloud_id"`
	HeldBy    int64     `json:"held_by"`
	LastError *string   `json:"last_error"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Resources reads what was made for a node, for all if nodeID is 0, page by
// page, and calls each for one. What is gone is left out unless asked for.
func (c *Client) Resources(ctx context.Context, nodeID int64, gone bool, each func(Document[Resource]) error) error {
	q := url.Values{}
	if nodeID != 0 {
		q.Set("node_id", strconv.FormatInt(nodeID, 10))
	}
	if !gone {
		q.Set("state", "held")
	}
	for {
		var page struct {
			Resources  []Document[Resource]
			NextCursor *string `json:"next_cursor"`
		}
		if _, err := c.rest(ctx, http.MethodGet, "/api/resources?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, r := range page.Resources {
			if err := each(r); err != nil {
				return err
			}
		}
		if page.NextCursor == nil {
			return nil
		}
		q.Set("after", *page.NextCursor)
	}
}

// Drift is one difference between the journal and a cloud.
type Drift struct {
	Problem, Kind, Name, Zone, Status, Message string
	CloudID                                    string     `json:"cloud_id"`
	CreatedAt                                  *time.Time `json:"created_at"`
	NodeID                                     int64      `json:"node_id"`
}

// Drift compares the journal with a provider's cloud.
func (c *Client) Drift(ctx context.Context, provider string) ([]Document[Drift], error) {
	var out struct{ Drift []Document[Drift] }
	_, err := c.rest(ctx, http.MethodGet, "/api/resources/drift?provider="+url.QueryEscape(provider), nil, &out)
	return out.Drift, err
}

// RemoveOrphan deletes one thing that no node holds; done is false while its
// end is awaited.
func (c *Client) RemoveOrphan(ctx context.Context, provider, kind, cloudID string) (done bool, message string, err error) {
	var out struct {
		Done    bool
		Message string
	}
	_, err = c.rest(ctx, http.MethodPost, "/api/resources/drift/remove", map[string]string{"provider": provider, "kind": kind, "cloud_id": cloudID}, &out)
	return out.Done, out.Message, err
}

// Offer is what can be ordered at a provider.
type Offer struct {
	Region         string
	Zones          []string
	Profiles       []OfferProfile
	Subnets        []OfferSubnet
	SecurityGroups []OfferNamed `json:"security_groups"`
	SSHKeys        []OfferNamed `json:"ssh_keys"`
	Images         []OfferNamed
	DNSZones       []OfferNamed `json:"dns_zones"`
	Servers, Quota int
	AsOf           time.Time `json:"as_of"`
}

// OfferProfile is a machine type.
type OfferProfile struct {
	Name       string
	CPUs       int
	MemoryGiB  int   `json:"memory_gib"`
	DataDisks  int   `json:"data_disks"`
	DataDiskGB int64 `json:"data_disk_gb"`
	Usable     bool
	Why        string // not, if it is not
}

// OfferSubnet is a subnet of the provider's network.
type OfferSubnet struct {
	ID, Name, Zone, CIDR string
	Available            int64 `json:"available_addresses"`
}

// OfferNamed is anything else with an id and a name.
type OfferNamed struct {
	ID, Name, Status string
	Default          bool // an order that names none of its kind gets it
}

// Offer asks what can be ordered.
func (c *Client) Offer(ctx context.Context, provider string) (Offer, error) {
	var out Offer
	_, err := c.rest(ctx, http.MethodGet, "/api/providers/"+url.PathEscape(provider)+"/offer", nil, &out)
	return out, err
}

// Adoption is a machine that is to be, or was, taken into care.
type Adoption struct {
	NodeID       *int64 `json:"node_id"`
	DeploymentID *int64 `json:"deployment_id"`
	ServerID     string `json:"server_id"`
	ServerName   string `json:"server_name"`
	ServerStatus string `json:"server_status"`
	ManagementIP string `json:"management_ip"`
	Resources    []struct {
		Kind, Role, Name string
		CloudID          string `json:"cloud_id"`
	}
	Message string
}

// Adopt takes a machine into care; with dryRun it only looks at it.
func (c *Client) Adopt(ctx context.Context, provider, server, name string, labels map[string]string, dryRun bool) (Adoption, error) {
	path, in := "/api/nodes/adopt", map[string]any{"provider": provider, "server": server, "name": name, "labels": labels}
	if dryRun {
		path += "?dry_run=true"
	}
	var out Adoption
	_, err := c.rest(ctx, http.MethodPost, path, in, &out)
	return out, err
}

// Console is a way to a machine's console.
type Console struct {
	URL, Type string
	ExpiresAt time.Time `json:"expires_at"`
	Force     bool
}

// Console opens the console of a node's machine.
func (c *Client) Console(ctx context.Context, nodeID int64, kind string, force bool) (Console, error) {
	var out Console
	_, err := c.rest(ctx, http.MethodPost, fmt.Sprintf("/api/nodes/%d/console", nodeID), map[string]any{"type": kind, "force": force}, &out)
	return out, err
}
