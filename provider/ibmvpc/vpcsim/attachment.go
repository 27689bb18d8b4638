package vpcsim

import (
	"fmt"
	"net/http"
	"slices"
)

// Kinds of network attachments (BareMetalServerNetworkAttachment.interface_type).
const (
	interfacePCI  = "pci"
	interfaceVLAN = "vlan"
)

// maxPCIAttachments is IBM's limit per server. How many attachments a profile allows in all is not documented by
// profile; maxAttachments is the one in the SDK's fixtures.
const (
	maxPCIAttachments = 8
	maxAttachments    = 128
)

const attachmentType = "bare_metal_server_network_attachment"

// portSpeed is the speed of an attachment in Mbit/s.
const portSpeed = 100000

type attachment struct {
	base
	name         string
	kind         string
	server       *server
	vni          *vni
	allowedVLANs []int
	vlan         int
	allowToFloat bool
	lifecycle    string
}

func (a *attachment) primary() bool { return a.server.attachments[0] == a }

type attachmentPrototype struct {
	InterfaceType *string       `json:"interface_type"`
	Name          string        `json:"name"`
	VNI           *vniPrototype `json:"virtual_network_interface"`
	AllowedVLANs  []int         `json:"allowed_vlans"`
	AllowToFloat  *bool         `json:"allow_to_float"`
	VLAN          *int          `json:"vlan"`
}

// attach gives a server one more attachment, the first being its primary one. What it changes goes again if the call
// fails later. field names the prototype in error messages.
func (c *call) attach(sv *server, field string, p attachmentPrototype) (*attachment, error) {
	a := &attachment{kind: interfacePCI, server: sv, lifecycle: lifecycleStable, allowedVLANs: p.AllowedVLANs}
	switch {
	case p.InterfaceType != nil:
		a.kind = *p.InterfaceType
	case len(sv.attachments) > 0:
		return nil, requiredField(field + ".interface_type")
	}
	if p.VNI == nil {
		return nil, requiredField(field + ".virtual_network_interface")
	}
	if err := c.checkAttachment(sv, a, field, p); err != nil {
		return nil, err
	}
	var err error
	if a.name, err = chooseName(p.Name, true, sv.attachmentNameTaken); err != nil {
		return nil, err
	}
	if err := c.bindVNI(a, *p.VNI); err != nil {
		return nil, err
	}
	if err := a.checkVLANSubnet(field); err != nil {
		return nil, err
	}
	a.base = c.s.newBase(c.s.zonalID(sv.zone))
	before := sv.attachments
	c.onUndo(func() { sv.attachments = before })
	sv.attachments = append(slices.Clone(before), a)
	return a, nil
}

func (sv *server) attachmentNameTaken(name string) bool {
	return slices.ContainsFunc(sv.attachments, func(a *attachment) bool { return a.name == name })
}

// checkAttachment holds the rules for the two kinds and fills a's fields.
func (c *call) checkAttachment(sv *server, a *attachment, field string, p attachmentPrototype) error {
	if err := oneOf(field+".interface_type", a.kind, interfacePCI, interfaceVLAN); err != nil {
		return err
	}
	pci := 0
	for _, other := range sv.attachments {
		if other.kind == interfacePCI {
			pci++
		}
	}
	if a.kind == interfacePCI && pci >= maxPCIAttachments || len(sv.attachments) >= maxAttachments {
		return overQuota("A server may have %d PCI attachments.", maxPCIAttachments)
	}
	if a.kind == interfacePCI {
		if p.VLAN != nil || p.AllowToFloat != nil {
			return badField(field+".vlan", "", "vlan and allow_to_float belong to attachments of interface type vlan.")
		}
		return checkVLANs(field, p.AllowedVLANs)
	}
	if len(sv.attachments) == 0 {
		return badField(field+".interface_type", a.kind, "The primary network attachment must be of interface type pci.")
	}
	if p.VLAN == nil {
		return requiredField(field + ".vlan")
	}
	if len(p.AllowedVLANs) > 0 {
		return badField(field+".allowed_vlans", "", "allowed_vlans belongs to attachments of interface type pci.")
	}
	if err := checkVLANs(field, []int{*p.VLAN}); err != nil {
		return err
	}
	a.vlan, a.allowToFloat = *p.VLAN, isSet(p.AllowToFloat, false)
	if !slices.ContainsFunc(sv.attachments, func(o *attachment) bool { return slices.Contains(o.allowedVLANs, a.vlan) }) {
		return badField(field+".vlan", fmt.Sprint(a.vlan), "No PCI attachment of the server allows VLAN %d.", a.vlan)
	}
	return nil
}

func checkVLANs(field string, ids []int) error {
	for _, id := range ids {
		if id < 1 || id > 4094 { // IEEE 802.1Q
			return badField(field+".vlan", fmt.Sprint(id), "A VLAN id must be from 1 to 4094.")
		}
	}
	return nil
}

// checkVLANSubnet holds that within a server one VLAN id means one subnet.
func (a *attachment) checkVLANSubnet(field string) error {
	for _, other := range a.server.attachments {
		if a.kind == interfaceVLAN && other.kind == interfaceVLAN && other.vlan == a.vlan && other.vni.subnetID != a.vni.subnetID {
			return badField(field+".vlan", fmt.Sprint(a.vlan), "VLAN %d of this server is already used with subnet %s.", a.vlan, other.vni.subnetID)
		}
	}
	return nil
}

// bindVNI gives the attachment a new interface or an existing one. An interface has one target at most; that a second
// one is refused with 409 and not with 400 is inferred.
func (c *call) bindVNI(a *attachment, p vniPrototype) error {
	v := c.s.vnis[p.existing()]
	if id := p.existing(); id == "" {
		var err error
		if v, err = c.makeVNI(p, true); err != nil {
			return err
		}
	} else if v == nil {
		return notFoundField("virtual network interface", "virtual_network_interface", id)
	}
	if v.attachment != nil {
		return conflict(codeVNIInUse, "The virtual network interface %s is already bound to %s.", v.id, v.attachment.id)
	}
	if err := v.usable(); err != nil {
		return err
	}
	if v.zone != a.server.zone {
		return fieldError(codeZoneInconsistency, "zone", a.server.zone, "The virtual network interface %s is in zone %s.", v.id, v.zone)
	}
	if a.server.vpcID != "" && v.vpcID != a.server.vpcID {
		return badField("vpc", a.server.vpcID, "The virtual network interface %s is in another VPC.", v.id)
	}
	before := a.server.vpcID
	c.onUndo(func() { v.attachment, a.server.vpcID = nil, before })
	a.vni, v.attachment, a.server.vpcID = v, a, v.vpcID
	v.version++
	return nil
}

// detach takes an attachment's interface from it and deletes the interface if it is to go with its target.
func (s *Simulator) detach(a *attachment) {
	v := a.vni
	v.attachment = nil
	v.version++
	if v.autoDelete {
		s.dropVNI(v)
	}
}

type attachmentReference struct {
	Href         string              `json:"href"`
	ID           string              `json:"id"`
	Name         string              `json:"name"`
	PrimaryIP    reservedIPReference `json:"primary_ip"`
	ResourceType string              `json:"resource_type"`
	Subnet       reference           `json:"subnet"`
	VNI          reference           `json:"virtual_network_interface"`
}

type attachmentAnswer struct {
	CreatedAt      timestamp           `json:"created_at"`
	Href           string              `json:"href"`
	ID             string              `json:"id"`
	InterfaceType  string              `json:"interface_type"`
	LifecycleState string              `json:"lifecycle_state"`
	Name           string              `json:"name"`
	PortSpeed      int                 `json:"port_speed"`
	PrimaryIP      reservedIPReference `json:"primary_ip"`
	ResourceType   string              `json:"resource_type"`
	Subnet         reference           `json:"subnet"`
	Type           string              `json:"type"`
	VNI            reference           `json:"virtual_network_interface"`
	AllowedVLANs   *[]int              `json:"allowed_vlans,omitempty"`
	AllowToFloat   *bool               `json:"allow_to_float,omitempty"`
	VLAN           *int                `json:"vlan,omitempty"`
}

func (c *call) attachmentHref(a *attachment) string {
	return c.href("/bare_metal_servers/" + a.server.id + "/network_attachments/" + a.id)
}

func (c *call) attachmentReference(a *attachment) attachmentReference {
	return attachmentReference{
		Href: c.attachmentHref(a), ID: a.id, Name: a.name, PrimaryIP: c.reservedIPReference(a.vni.primary()),
		ResourceType: attachmentType, Subnet: c.subnetReference(c.s.catalogue.subnets[a.vni.subnetID]), VNI: c.vniReference(a.vni),
	}
}

func (a *attachment) rank() string {
	if a.primary() {
		return "primary"
	}
	return "secondary"
}

func (c *call) attachmentAnswer(a *attachment) attachmentAnswer {
	ref := c.attachmentReference(a)
	answer := attachmentAnswer{
		CreatedAt: a.created, Href: ref.Href, ID: a.id, InterfaceType: a.kind, LifecycleState: a.lifecycle, Name: a.name,
		PortSpeed: portSpeed, PrimaryIP: ref.PrimaryIP, ResourceType: attachmentType, Subnet: ref.Subnet, Type: a.rank(), VNI: ref.VNI,
	}
	if a.kind == interfacePCI {
		vlans := append([]int{}, a.allowedVLANs...)
		answer.AllowedVLANs = &vlans
	} else {
		answer.AllowToFloat, answer.VLAN = &a.allowToFloat, &a.vlan
	}
	return answer
}

func (c *call) listAttachments() (reply, error) {
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
		Attachments []attachmentAnswer `json:"network_attachments"`
	}{meta, render(items, c.attachmentAnswer)}), nil
}

// attachmentByPath finds the attachment {part} of the server {id}; the interface mirror has the same ids.
func (c *call) attachmentByPath(kind string) (*attachment, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return nil, err
	}
	for _, a := range sv.attachments {
		if a.id == c.path("part") {
			return a, nil
		}
	}
	return nil, notFound(kind, c.path("part"))
}

func (c *call) getAttachment() (reply, error) {
	a, err := c.attachmentByPath("network attachment")
	if err != nil {
		return reply{}, err
	}
	return ok(c.attachmentAnswer(a)), nil
}

func (c *call) createAttachment() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p attachmentPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.InterfaceType != nil && *p.InterfaceType == interfacePCI {
		if err := sv.need(statusStopped); err != nil {
			return reply{}, err
		}
	}
	if sv.lifecycle == lifecycleDeleting {
		return reply{}, sv.need(statusStopped)
	}
	a, err := c.attach(sv, "network_attachment", p)
	if err != nil {
		return reply{}, err
	}
	if a.kind == interfacePCI {
		a.lifecycle = lifecyclePending // until the next start (IBM's page on managing attachments)
	}
	return created(c.attachmentAnswer(a)), nil
}

func (c *call) updateAttachment() (reply, error) {
	a, err := c.attachmentByPath("network attachment")
	if err != nil {
		return reply{}, err
	}
	var p struct {
		AllowedVLANs *[]int  `json:"allowed_vlans"`
		Name         *string `json:"name"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.AllowedVLANs != nil {
		if a.kind != interfacePCI {
			return reply{}, badField("allowed_vlans", "", "allowed_vlans belongs to attachments of interface type pci.")
		}
		if err := checkVLANs("allowed_vlans", *p.AllowedVLANs); err != nil {
			return reply{}, err
		}
		if err := a.checkVLANsStillAllowed(*p.AllowedVLANs); err != nil {
			return reply{}, err
		}
	}
	if p.Name != nil && *p.Name != a.name {
		if a.name, err = renamed(a.name, *p.Name, true, a.server.attachmentNameTaken); err != nil {
			return reply{}, err
		}
	}
	if p.AllowedVLANs != nil {
		a.allowedVLANs = *p.AllowedVLANs
	}
	return ok(c.attachmentAnswer(a)), nil
}

// checkVLANsStillAllowed refuses to take away a VLAN that an attachment of the server uses.
func (a *attachment) checkVLANsStillAllowed(next []int) error {
	for _, user := range a.server.attachments {
		if user.kind != interfaceVLAN || slices.Contains(next, user.vlan) {
			continue
		}
		if !slices.ContainsFunc(a.server.attachments, func(o *attachment) bool { return o != a && slices.Contains(o.allowedVLANs, user.vlan) }) {
			return conflict(codeInvalidState, "VLAN %d is used by the network attachment %s.", user.vlan, user.id)
		}
	}
	return nil
}

func (c *call) deleteAttachment() (reply, error) {
	a, err := c.attachmentByPath("network attachment")
	if err != nil {
		return reply{}, err
	}
	if a.primary() {
		return reply{}, conflict(codeInvalidState, "The primary network attachment cannot be deleted.")
	}
	if a.kind == interfacePCI {
		if err := a.server.need(statusStopped); err != nil {
			return reply{}, err
		}
		if err := a.checkVLANsStillAllowed(nil); err != nil {
			return reply{}, err
		}
	}
	if a.lifecycle != lifecycleDeleting {
		a.lifecycle = lifecycleDeleting
		c.s.after(c.s.opts.Delays.Delete, func() { c.s.dropAttachment(a) })
	}
	return reply{status: http.StatusAccepted}, nil
}

func (s *Simulator) dropAttachment(a *attachment) {
	sv := a.server
	if s.servers[sv.id] != sv {
		return // the server has gone meanwhile, and the attachment with it
	}
	sv.attachments = slices.DeleteFunc(slices.Clone(sv.attachments), func(o *attachment) bool { return o == a })
	s.detach(a)
}
