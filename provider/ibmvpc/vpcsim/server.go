package vpcsim

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of bare metal servers (IBM's quotas page; user_data: the page on network boot).
const (
	maxServers  = 25
	maxUserData = 64 << 10
)

// server is one bare metal server.
type server struct {
	base
	name         string
	zone         string
	vpcID        string
	profile      *profile
	bandwidth    int
	image        *image
	keys         []string
	userData     string
	secureBoot   bool
	tpmMode      string
	metadata     metadataService
	affinity     string // reservation_affinity.policy
	status       string
	reasons      []statusReason
	lifecycle    string
	firmware     string // the update that waits
	disks        []*disk
	attachments  []*attachment // the primary one first
	operation    string        // the API call that the server is carrying out or has carried out last
	generation   int           // grows with every such call, so that a change that was under way is dropped
	powered      bool
	powerOns     int
	imageWritten bool // the boot disk was rewritten by a reinitialization and not started since
	console      consoleToken
}

type disk struct {
	base
	name          string
	sizeGB        int64
	interfaceType string
}

type statusReason struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info,omitempty"`
}

type metadataService struct {
	Enabled  bool   `json:"enabled"`
	Protocol string `json:"protocol"`
}

func serverOperations() []operation {
	const all, one = "/v1/bare_metal_servers", "/v1/bare_metal_servers/{id}"
	const attachments, interfaces, disks = one + "/network_attachments", one + "/network_interfaces", one + "/disks"
	return []operation{
		{name: "ListBareMetalServers", method: "GET", path: all, handle: (*call).listServers},
		{name: "CreateBareMetalServer", method: "POST", path: all, handle: (*call).createServer},
		{name: "GetBareMetalServer", method: "GET", path: one, handle: (*call).getServer},
		{name: "UpdateBareMetalServer", method: "PATCH", path: one, handle: (*call).updateServer},
		{name: "DeleteBareMetalServer", method: "DELETE", path: one, handle: (*call).deleteServer},
		{name: "StartBareMetalServer", method: "POST", path: one + "/start", handle: (*call).startServer},
		{name: "StopBareMetalServer", method: "POST", path: one + "/stop", handle: (*call).stopServer},
		{name: "RestartBareMetalServer", method: "POST", path: one + "/restart", handle: (*call).restartServer},
		{name: "UpdateFirmwareForBareMetalServer", method: "POST", path: one + "/firmware/update", handle: (*call).updateFirmware},
		{name: "GetBareMetalServerInitialization", method: "GET", path: one + "/initialization", handle: (*call).getInitialization},
		{name: "ReplaceBareMetalServerInitialization", method: "PUT", path: one + "/initialization", handle: (*call).replaceInitialization},
		{name: "CreateBareMetalServerConsoleAccessToken", method: "POST", path: one + "/console_access_token", handle: (*call).createConsoleToken},
		{name: "ListBareMetalServerDisks", method: "GET", path: disks, handle: (*call).listDisks},
		{name: "GetBareMetalServerDisk", method: "GET", path: disks + "/{part}", handle: (*call).getDisk},
		{name: "UpdateBareMetalServerDisk", method: "PATCH", path: disks + "/{part}", handle: (*call).updateDisk},
		{name: "ListBareMetalServerNetworkAttachments", method: "GET", path: attachments, handle: (*call).listAttachments},
		{name: "CreateBareMetalServerNetworkAttachment", method: "POST", path: attachments, handle: (*call).createAttachment},
		{name: "GetBareMetalServerNetworkAttachment", method: "GET", path: attachments + "/{part}", handle: (*call).getAttachment},
		{name: "UpdateBareMetalServerNetworkAttachment", method: "PATCH", path: attachments + "/{part}", handle: (*call).updateAttachment},
		{name: "DeleteBareMetalServerNetworkAttachment", method: "DELETE", path: attachments + "/{part}", handle: (*call).deleteAttachment},
		{name: "ListBareMetalServerNetworkInterfaces", method: "GET", path: interfaces, handle: (*call).listInterfaces},
		{name: "GetBareMetalServerNetworkInterface", method: "GET", path: interfaces + "/{part}", handle: (*call).getInterface},
	}
}

type serverPrototype struct {
	Bandwidth        *int                     `json:"bandwidth"`
	SecureBoot       *bool                    `json:"enable_secure_boot"`
	Initialization   *initializationPrototype `json:"initialization"`
	Metadata         *metadataPatch           `json:"metadata_service"`
	Name             string                   `json:"name"`
	Profile          *identity                `json:"profile"`
	Affinity         *affinityPrototype       `json:"reservation_affinity"`
	ResourceGroup    *identity                `json:"resource_group"`
	TPM              *tpmPrototype            `json:"trusted_platform_module"`
	VPC              *identity                `json:"vpc"`
	Zone             *identity                `json:"zone"`
	Primary          *attachmentPrototype     `json:"primary_network_attachment"`
	Attachments      []attachmentPrototype    `json:"network_attachments"`
	PrimaryInterface map[string]any           `json:"primary_network_interface"`
}

type metadataPatch struct {
	Enabled  *bool   `json:"enabled"`
	Protocol *string `json:"protocol"`
}

type affinityPrototype struct {
	Policy *string    `json:"policy"`
	Pool   []identity `json:"pool"`
}

type tpmPrototype struct {
	Mode *string `json:"mode"`
}

// required refuses a prototype that lacks what every server needs.
func (p *serverPrototype) required() error {
	switch {
	case p.PrimaryInterface != nil && p.Primary != nil:
		return badField("primary_network_interface", "", "Network attachments and network interfaces cannot be mixed.")
	case p.PrimaryInterface != nil:
		return notSimulated("servers with the older child network interfaces; use primary_network_attachment")
	case p.Initialization == nil:
		return requiredField("initialization")
	case p.Profile.key() == "":
		return requiredField("profile")
	case p.Zone.key() == "":
		return requiredField("zone")
	case p.Primary == nil:
		return requiredField("primary_network_attachment")
	}
	return nil
}

func (c *call) createServer() (reply, error) {
	var p serverPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if err := p.required(); err != nil {
		return reply{}, err
	}
	sv, err := c.newServer(&p)
	if err != nil {
		return reply{}, err
	}
	for i, prototype := range append([]attachmentPrototype{*p.Primary}, p.Attachments...) {
		field := "primary_network_attachment"
		if i > 0 {
			field = fmt.Sprintf("network_attachments[%d]", i-1)
		}
		if _, err := c.attach(sv, field, prototype); err != nil {
			return reply{}, err
		}
	}
	c.s.keepServer(sv)
	c.s.counts.servers++
	c.s.provision(sv, c.op.name)
	return created(c.serverAnswer(sv)), nil
}

// newServer checks everything but the network and returns the server that it would be.
func (c *call) newServer(p *serverPrototype) (*server, error) {
	if err := c.checkResourceGroup(p.ResourceGroup); err != nil {
		return nil, err
	}
	zone := p.Zone.key()
	if !slices.Contains(c.s.opts.Zones, zone) {
		return nil, fieldError(codeInvalidZone, "zone", zone, "The zone %q is not in the region %s.", zone, c.s.opts.Region)
	}
	sv := &server{
		zone: zone, lifecycle: lifecyclePending, firmware: c.s.opts.Firmware, metadata: metadataService{Protocol: "http"},
		affinity: "automatic",
	}
	if sv.profile = c.s.catalogue.profiles[p.Profile.key()]; sv.profile == nil {
		return nil, notFoundField("bare metal server profile", "profile", p.Profile.key())
	}
	if p.VPC != nil {
		v := c.s.catalogue.vpcs[p.VPC.key()]
		if v == nil {
			return nil, notFoundField("VPC", "vpc", p.VPC.key())
		}
		sv.vpcID = v.id
	}
	sv.bandwidth, sv.tpmMode = sv.profile.bandwidths[0], sv.profile.tpmDefault
	settings := serverPatch{Bandwidth: p.Bandwidth, SecureBoot: p.SecureBoot, Metadata: p.Metadata, Affinity: p.Affinity, TPM: p.TPM}
	if err := settings.apply(sv); err != nil {
		return nil, err
	}
	if err := c.initialize(sv, p.Initialization); err != nil {
		return nil, err
	}
	if len(c.s.servers) >= c.s.opts.ServerQuota {
		return nil, overQuota("The account may have %d bare metal servers.", c.s.opts.ServerQuota)
	}
	var err error
	if sv.name, err = chooseName(p.Name, true, c.serverNameTaken); err != nil {
		return nil, err
	}
	sv.base = c.s.newBase(c.s.zonalID(zone))
	sv.disks = c.s.newDisks(sv)
	return sv, nil
}

// serverNameTaken is region-wide and includes names of deleted servers that are not free again yet.
func (c *call) serverNameTaken(name string) bool {
	return c.s.takenNames[name] || c.s.taken.has(serverNameKey(name))
}

func (s *Simulator) newDisks(sv *server) []*disk {
	var disks []*disk
	for _, kind := range sv.profile.disks {
		for range kind.quantity {
			disks = append(disks, &disk{
				base: s.newBase(s.zonalID(sv.zone)), name: "disk-" + strconv.Itoa(len(disks)+1),
				sizeGB: kind.sizeGB, interfaceType: kind.interfaceType,
			})
		}
	}
	return disks
}

// serverPatch are the settings that a server may be given at once or later.
type serverPatch struct {
	Bandwidth  *int               `json:"bandwidth"`
	SecureBoot *bool              `json:"enable_secure_boot"`
	Metadata   *metadataPatch     `json:"metadata_service"`
	Name       *string            `json:"name"`
	Affinity   *affinityPrototype `json:"reservation_affinity"`
	TPM        *tpmPrototype      `json:"trusted_platform_module"`
}

// apply checks all settings and only then changes the server.
func (p serverPatch) apply(sv *server) error {
	next := *sv
	if p.Bandwidth != nil {
		if next.bandwidth = *p.Bandwidth; !slices.Contains(sv.profile.bandwidths, next.bandwidth) {
			return badField("bandwidth", strconv.Itoa(next.bandwidth), "The profile %s has no bandwidth %d.", sv.profile.name, next.bandwidth)
		}
	}
	next.secureBoot = isSet(p.SecureBoot, sv.secureBoot)
	if p.TPM != nil && p.TPM.Mode != nil {
		next.tpmMode = *p.TPM.Mode
		if err := oneOf("trusted_platform_module.mode", next.tpmMode, sv.profile.tpmModes...); err != nil {
			return err
		}
	}
	if p.Metadata != nil {
		next.metadata.Enabled = isSet(p.Metadata.Enabled, sv.metadata.Enabled)
		if p.Metadata.Protocol != nil {
			next.metadata.Protocol = *p.Metadata.Protocol
		}
		if err := oneOf("metadata_service.protocol", next.metadata.Protocol, "http", "https"); err != nil {
			return err
		}
	}
	if p.Affinity != nil {
		if len(p.Affinity.Pool) > 0 {
			return notSimulated("reservations")
		}
		if p.Affinity.Policy != nil {
			next.affinity = *p.Affinity.Policy
		}
		if err := oneOf("reservation_affinity.policy", next.affinity, "disabled", "manual", "automatic"); err != nil {
			return err
		}
	}
	*sv = next
	return nil
}

func (c *call) updateServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p serverPatch
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.SecureBoot != nil && *p.SecureBoot != sv.secureBoot || p.TPM != nil && p.TPM.Mode != nil && *p.TPM.Mode != sv.tpmMode {
		if err := sv.need(statusStopped); err != nil {
			return reply{}, err
		}
	}
	name := sv.name
	if p.Name != nil && *p.Name != name {
		if name, err = renamed(name, *p.Name, true, c.serverNameTaken); err != nil {
			return reply{}, err
		}
	}
	if err := p.apply(sv); err != nil {
		return reply{}, err
	}
	c.s.taken.drop(serverNameKey(sv.name))
	c.s.taken.add(serverNameKey(name))
	sv.name = name
	return ok(c.serverAnswer(sv)), nil
}

func (c *call) serverByPath() (*server, error) {
	sv := c.s.servers[c.path("id")]
	if sv == nil {
		return nil, notFound("bare metal server", c.path("id"))
	}
	return sv, nil
}

func (c *call) getServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.serverAnswer(sv)), nil
}

func (c *call) listServers() (reply, error) {
	items := list(c.s.servers, func(sv *server) bool {
		return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) && c.matches("name", sv.name) && c.inVPC(sv.vpcID) &&
			c.matches("reservation.id", "") && c.matches("reservation.crn", "") && c.matches("reservation.name", "")
	})
	items, meta, err := page(c, items, bySeq[*server]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Servers []serverAnswer `json:"bare_metal_servers"`
	}{meta, render(items, c.serverAnswer)}), nil
}

// initializationPrototype is what a server boots: at creation, and again at reinitialization.
type initializationPrototype struct {
	Image          *identity   `json:"image"`
	Keys           *[]identity `json:"keys"`
	UserData       string      `json:"user_data"`
	TrustedProfile any         `json:"default_trusted_profile"`
}

// initialize checks the prototype and gives the server its image, keys and user data.
func (c *call) initialize(sv *server, p *initializationPrototype) error {
	if p.TrustedProfile != nil {
		return notSimulated("trusted profiles")
	}
	if p.Image.key() == "" {
		return requiredField("initialization.image")
	}
	img := c.s.catalogue.images[p.Image.key()]
	if img == nil {
		return notFoundField("image", "initialization.image", p.Image.key())
	}
	if img.status == imageObsolete {
		return badField("initialization.image", img.id, "The image %s is obsolete.", img.name)
	}
	if !img.bareMetal {
		return badField("initialization.image", img.id, "The image's allowed_use does not allow bare metal servers.")
	}
	if p.Keys == nil {
		return requiredField("initialization.keys")
	}
	var keys []string
	for _, ref := range *p.Keys {
		k := c.keyByIdentity(ref)
		if k == nil {
			return notFoundField("key", "initialization.keys", ref.key())
		}
		keys = append(keys, k.id)
	}
	if len(p.UserData) > maxUserData {
		return badField("initialization.user_data", "", "user_data may have %d bytes.", maxUserData)
	}
	if img.system.format == FormatIPXE && !validIPXE(p.UserData) {
		return badField("initialization.user_data", "", "user_data must be a single URL or a script whose first line is #!ipxe.")
	}
	sv.image, sv.keys, sv.userData = img, keys, p.UserData
	return nil
}

// validIPXE holds what IBM documents for images of format ipxe: one URL, or a script that says that it is one. That a
// request with anything else is refused, and does not only fail to boot, is inferred.
func validIPXE(userData string) bool {
	text := strings.TrimSpace(userData)
	if text == "" || strings.HasPrefix(text, "#!ipxe") {
		return true
	}
	// iPXE expands ${net0/mac} and the like in the URL itself; net/url would refuse the braces in a host.
	u, err := url.Parse(strings.NewReplacer("${", "", "}", "").Replace(text))
	return err == nil && !strings.ContainsAny(text, " \t\n") && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
