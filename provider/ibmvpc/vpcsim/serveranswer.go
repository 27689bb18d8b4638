package vpcsim

import "slices"

type serverAnswer struct {
	Bandwidth         int                    `json:"bandwidth"`
	BootTarget        attachmentTarget       `json:"boot_target"`
	CPU               serverCPU              `json:"cpu"`
	CreatedAt         timestamp              `json:"created_at"`
	CRN               string                 `json:"crn"`
	Disks             []diskAnswer           `json:"disks"`
	SecureBoot        bool                   `json:"enable_secure_boot"`
	Firmware          firmware               `json:"firmware"`
	HealthReasons     []statusReason         `json:"health_reasons"`
	HealthState       string                 `json:"health_state"`
	Href              string                 `json:"href"`
	ID                string                 `json:"id"`
	LifecycleReasons  []statusReason         `json:"lifecycle_reasons"`
	LifecycleState    string                 `json:"lifecycle_state"`
	Memory            int                    `json:"memory"`
	Metadata          metadataService        `json:"metadata_service"`
	Name              string                 `json:"name"`
	Attachments       []attachmentReference  `json:"network_attachments"`
	Interfaces        []interfaceReference   `json:"network_interfaces"`
	PrimaryAttachment attachmentReference    `json:"primary_network_attachment"`
	PrimaryInterface  interfaceReference     `json:"primary_network_interface"`
	Profile           profileReference       `json:"profile"`
	Affinity          reservationAffinity    `json:"reservation_affinity"`
	ResourceGroup     resourceGroupReference `json:"resource_group"`
	ResourceType      string                 `json:"resource_type"`
	Status            string                 `json:"status"`
	StatusReasons     []statusReason         `json:"status_reasons"`
	TPM               trustedPlatformModule  `json:"trusted_platform_module"`
	VPC               reference              `json:"vpc"`
	Zone              zoneReference          `json:"zone"`
}

type (
	serverCPU struct {
		Architecture   string `json:"architecture"`
		CoreCount      int    `json:"core_count"`
		SocketCount    int    `json:"socket_count"`
		ThreadsPerCore int    `json:"threads_per_core"`
	}
	firmware struct {
		Update string `json:"update"`
	}
	reservationAffinity struct {
		Policy string     `json:"policy"`
		Pool   []struct{} `json:"pool"`
	}
	trustedPlatformModule struct {
		Enabled        bool     `json:"enabled"`
		Mode           string   `json:"mode"`
		SupportedModes []string `json:"supported_modes"`
	}
	diskAnswer struct {
		CreatedAt     timestamp `json:"created_at"`
		Href          string    `json:"href"`
		ID            string    `json:"id"`
		InterfaceType string    `json:"interface_type"`
		Name          string    `json:"name"`
		ResourceType  string    `json:"resource_type"`
		Size          int64     `json:"size"`
	}
	interfaceReference struct {
		Href         string              `json:"href"`
		ID           string              `json:"id"`
		Name         string              `json:"name"`
		PrimaryIP    reservedIPReference `json:"primary_ip"`
		ResourceType string              `json:"resource_type"`
		Subnet       reference           `json:"subnet"`
	}
	// interfaceAnswer is the read-only mirror of an attachment for older clients, with the same id.
	interfaceAnswer struct {
		AllowIPSpoofing bool                `json:"allow_ip_spoofing"`
		CreatedAt       timestamp           `json:"created_at"`
		NAT             bool                `json:"enable_infrastructure_nat"`
		FloatingIPs     []struct{}          `json:"floating_ips"`
		Href            string              `json:"href"`
		ID              string              `json:"id"`
		InterfaceType   string              `json:"interface_type"`
		MACAddress      string              `json:"mac_address"`
		Name            string              `json:"name"`
		PortSpeed       int                 `json:"port_speed"`
		PrimaryIP       reservedIPReference `json:"primary_ip"`
		ResourceType    string              `json:"resource_type"`
		SecurityGroups  []untypedReference  `json:"security_groups"`
		Status          string              `json:"status"`
		Subnet          reference           `json:"subnet"`
		Type            string              `json:"type"`
		AllowedVLANs    *[]int              `json:"allowed_vlans,omitempty"`
		AllowToFloat    *bool               `json:"allow_interface_to_float,omitempty"`
		VLAN            *int                `json:"vlan,omitempty"`
	}
)

const diskType = "bare_metal_server_disk"

func (c *call) serverHref(sv *server) string { return c.href("/bare_metal_servers/" + sv.id) }

func (c *call) diskHref(sv *server, d *disk) string { return c.serverHref(sv) + "/disks/" + d.id }

func (c *call) diskAnswer(sv *server) func(*disk) diskAnswer {
	return func(d *disk) diskAnswer {
		return diskAnswer{
			CreatedAt: d.created, Href: c.diskHref(sv, d), ID: d.id, InterfaceType: d.interfaceType, Name: d.name,
			ResourceType: diskType, Size: d.sizeGB,
		}
	}
}

func (c *call) serverAnswer(sv *server) serverAnswer {
	boot := sv.disks[0]
	answer := serverAnswer{
		Bandwidth:  sv.bandwidth,
		BootTarget: attachmentTarget{Href: c.diskHref(sv, boot), ID: boot.id, Name: boot.name, ResourceType: diskType},
		CPU: serverCPU{
			Architecture: "amd64", CoreCount: sv.profile.vcpu / 2, SocketCount: sv.profile.socketCount, ThreadsPerCore: 2,
		},
		CreatedAt: sv.created, CRN: crn(sv.zone, "bare-metal-server", sv.id), Disks: render(sv.disks, c.diskAnswer(sv)),
		SecureBoot: sv.secureBoot, Firmware: firmware{sv.firmware}, HealthReasons: []statusReason{}, HealthState: "ok",
		Href: c.serverHref(sv), ID: sv.id, LifecycleReasons: []statusReason{}, LifecycleState: sv.lifecycle,
		Memory: sv.profile.memory, Metadata: sv.metadata, Name: sv.name,
		Attachments: render(sv.attachments, c.attachmentReference), Interfaces: render(sv.attachments, c.interfaceReference),
		PrimaryAttachment: c.attachmentReference(sv.attachments[0]), PrimaryInterface: c.interfaceReference(sv.attachments[0]),
		Profile: c.profileReference(sv.profile), Affinity: reservationAffinity{sv.affinity, []struct{}{}},
		ResourceGroup: c.resourceGroup(), ResourceType: "bare_metal_server", Status: sv.status,
		StatusReasons: append([]statusReason{}, sv.reasons...),
		TPM:           trustedPlatformModule{sv.tpmMode != "disabled", sv.tpmMode, sv.profile.tpmModes},
		VPC:           c.vpcReference(c.s.catalogue.vpcs[sv.vpcID]), Zone: c.zone(sv.zone),
	}
	if sv.lifecycle != lifecycleStable {
		answer.HealthState = "inapplicable"
	}
	if sv.status == statusStopping && c.s.opts.HideStopping {
		answer.Status = statusRunning
	}
	return answer
}

func (c *call) listDisks() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(struct { // this list is not paged
		Disks []diskAnswer `json:"disks"`
	}{render(sv.disks, c.diskAnswer(sv))}), nil
}

func (c *call) diskByPath() (*server, *disk, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(sv.disks, func(d *disk) bool { return d.id == c.path("part") })
	if i < 0 {
		return nil, nil, notFound("disk", c.path("part"))
	}
	return sv, sv.disks[i], nil
}

func (c *call) getDisk() (reply, error) {
	sv, d, err := c.diskByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.diskAnswer(sv)(d)), nil
}

func (c *call) updateDisk() (reply, error) {
	sv, d, err := c.diskByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		Name *string `json:"name"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.Name != nil && *p.Name != d.name {
		if d.name, err = renamed(d.name, *p.Name, true, func(name string) bool {
			return slices.ContainsFunc(sv.disks, func(o *disk) bool { return o.name == name })
		}); err != nil {
			return reply{}, err
		}
	}
	return ok(c.diskAnswer(sv)(d)), nil
}

func (c *call) interfaceReference(a *attachment) interfaceReference {
	return interfaceReference{
		Href: c.serverHref(a.server) + "/network_interfaces/" + a.id, ID: a.id, Name: a.name,
		PrimaryIP: c.reservedIPReference(a.vni.primary()), ResourceType: "network_interface",
		Subnet: c.subnetReference(c.s.catalogue.subnets[a.vni.subnetID]),
	}
}

func (c *call) interfaceAnswer(a *attachment) interfaceAnswer {
	ref, mirrored := c.interfaceReference(a), c.attachmentAnswer(a)
	return interfaceAnswer{
		AllowIPSpoofing: a.vni.spoofing, CreatedAt: a.created, NAT: a.vni.nat, FloatingIPs: []struct{}{}, Href: ref.Href,
		ID: a.id, InterfaceType: a.kind, MACAddress: a.vni.mac, Name: a.name, PortSpeed: portSpeed, PrimaryIP: ref.PrimaryIP,
		ResourceType: ref.ResourceType, SecurityGroups: c.vniGroups(a.vni), Status: "available", Subnet: ref.Subnet,
		Type: a.rank(), AllowedVLANs: mirrored.AllowedVLANs, AllowToFloat: mirrored.AllowToFloat, VLAN: mirrored.VLAN,
	}
}

func (c *call) listInterfaces() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	items, meta, err := page(c, slices.Clone(sv.attachments), bySeq[*attachment]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Interfaces []interfaceAnswer `json:"network_interfaces"`
	}{meta, render(items, c.interfaceAnswer)}), nil
}

func (c *call) getInterface() (reply, error) {
	a, err := c.attachmentByPath("network interface")
	if err != nil {
		return reply{}, err
	}
	return ok(c.interfaceAnswer(a)), nil
}
