package vpcsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Limits of a virtual network interface (IBM's quotas page and VNI pages).
const (
	maxIPsPerVNI            = 8
	maxSecurityGroupsPerVNI = 5
)

// Protocol state filtering modes (VirtualNetworkInterface.protocol_state_filtering_mode).
var filteringModes = []string{"auto", "enabled", "disabled"}

// vni is a virtual network interface: it has the MAC and the addresses before any server has it.
type vni struct {
	base
	name           string
	subnetID       string
	vpcID          string
	zone           string
	mac            string
	spoofing       bool
	autoDelete     bool
	nat            bool // enable_infrastructure_nat
	filtering      string
	securityGroups []string
	ips            []*reservedIP // the primary one first
	attachment     *attachment   // its one target, if bound
	lifecycle      string
	version        int // grows with every change; the ETag
}

func (v *vni) primary() *reservedIP { return v.ips[0] }

func (v *vni) etag() string { return fmt.Sprintf(`W/"%s-%d"`, v.id, v.version) }

// mayAdd tells whether one more address of this subnet fits.
func (v *vni) mayAdd(sn *subnet) error {
	if v.subnetID != sn.id {
		return badField("ips", "", "The reserved IP must be in the subnet of the primary IP, %s.", v.subnetID)
	}
	if len(v.ips) >= maxIPsPerVNI {
		return overQuota("A virtual network interface may have %d addresses.", maxIPsPerVNI)
	}
	return v.usable()
}

func (v *vni) usable() error {
	if v.lifecycle == lifecycleDeleting {
		return conflict(codeInvalidState, "The virtual network interface %s is being deleted.", v.id)
	}
	return nil
}

func vniOperations() []operation {
	const all, one = "/v1/virtual_network_interfaces", "/v1/virtual_network_interfaces/{id}"
	const ips, ip = one + "/ips", one + "/ips/{ip}"
	return []operation{
		{name: "ListVirtualNetworkInterfaces", method: "GET", path: all, handle: (*call).listVNIs},
		{name: "CreateVirtualNetworkInterface", method: "POST", path: all, handle: (*call).createVNI},
		{name: "GetVirtualNetworkInterface", method: "GET", path: one, handle: (*call).getVNI},
		{name: "UpdateVirtualNetworkInterface", method: "PATCH", path: one, handle: (*call).updateVNI},
		{name: "DeleteVirtualNetworkInterfaces", method: "DELETE", path: one, handle: (*call).deleteVNI},
		{name: "ListVirtualNetworkInterfaceIps", method: "GET", path: ips, handle: (*call).listVNIAddresses},
		{name: "GetVirtualNetworkInterfaceIP", method: "GET", path: ip, handle: (*call).getVNIAddress},
		{name: "AddVirtualNetworkInterfaceIP", method: "PUT", path: ip, handle: (*call).addVNIAddress},
		{name: "RemoveVirtualNetworkInterfaceIP", method: "DELETE", path: ip, handle: (*call).removeVNIAddress},
	}
}

// vniPrototype is a new interface, alone or inside a network attachment; there it may also name an existing one.
type vniPrototype struct {
	identity
	AllowIPSpoofing *bool                 `json:"allow_ip_spoofing"`
	AutoDelete      *bool                 `json:"auto_delete"`
	NAT             *bool                 `json:"enable_infrastructure_nat"`
	IPs             []reservedIPPrototype `json:"ips"`
	Name            string                `json:"name"`
	PrimaryIP       *reservedIPPrototype  `json:"primary_ip"`
	Filtering       *string               `json:"protocol_state_filtering_mode"`
	ResourceGroup   *identity             `json:"resource_group"`
	SecurityGroups  []identity            `json:"security_groups"`
	Subnet          *identity             `json:"subnet"`
}

// existing is the id of the interface that the prototype refers to, if it does.
func (p *vniPrototype) existing() string {
	return (&identity{ID: p.ID, CRN: p.CRN, Href: p.Href}).key()
}

func (c *call) createVNI() (reply, error) {
	var p vniPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if isSet(p.AutoDelete, false) {
		return reply{}, badField("auto_delete", "true", "auto_delete must be false if the virtual network interface is unbound.")
	}
	v, err := c.makeVNI(p, false)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: c.vniAnswer(v), etag: v.etag()}, nil
}

// isSet is the value of an optional boolean.
func isSet(value *bool, def bool) bool {
	if value == nil {
		return def
	}
	return *value
}

// makeVNI makes an interface with its addresses. What it has made goes again if the call fails later.
func (c *call) makeVNI(p vniPrototype, autoDelete bool) (*vni, error) {
	if err := c.checkResourceGroup(p.ResourceGroup); err != nil {
		return nil, err
	}
	sn, err := c.subnetOfVNI(p)
	if err != nil {
		return nil, err
	}
	v := &vni{
		subnetID: sn.id, vpcID: sn.vpcID, zone: sn.zone, spoofing: isSet(p.AllowIPSpoofing, false),
		autoDelete: isSet(p.AutoDelete, autoDelete), nat: isSet(p.NAT, true), filtering: "auto", lifecycle: lifecyclePending,
	}
	if p.Filtering != nil {
		v.filtering = *p.Filtering
	}
	if err := v.checkFlags(); err != nil {
		return nil, err
	}
	if v.name, err = chooseName(p.Name, true, func(name string) bool { return c.vniNameTaken(v.vpcID, name) }); err != nil {
		return nil, err
	}
	if v.securityGroups, err = c.vniSecurityGroups(p.SecurityGroups, sn.vpcID); err != nil {
		return nil, err
	}
	v.base = c.s.newBase(c.s.zonalID(sn.zone))
	v.mac = c.s.newMAC()
	c.onUndo(func() { c.s.forgetVNI(v) })
	c.s.keepVNI(v)
	if err := c.bindAddresses(v, sn, p); err != nil {
		return nil, err
	}
	c.s.counts.vnis++
	c.onUndo(func() { c.s.counts.vnis-- })
	c.s.after(c.s.opts.Delays.VNI, func() { v.settle() })
	return v, nil
}

// settle ends the pending state: the MAC and the addresses show.
func (v *vni) settle() {
	if v.lifecycle == lifecyclePending {
		v.lifecycle = lifecycleStable
		v.version++
	}
	for _, ip := range v.ips {
		ip.hidden = false
	}
}

func (v *vni) checkFlags() error {
	if err := oneOf("protocol_state_filtering_mode", v.filtering, filteringModes...); err != nil {
		return err
	}
	if !v.nat && v.spoofing {
		return badField("allow_ip_spoofing", "true", "allow_ip_spoofing must be false if enable_infrastructure_nat is false.")
	}
	return nil
}

func (c *call) vniNameTaken(vpcID, name string) bool {
	return c.s.taken.has(vniNameKey(vpcID, name))
}

// subnetOfVNI is the subnet of the prototype, or that of the reserved IP it names as primary.
func (c *call) subnetOfVNI(p vniPrototype) (*subnet, error) {
	var sn *subnet
	if p.Subnet != nil {
		if sn = c.s.catalogue.subnets[p.Subnet.key()]; sn == nil {
			return nil, notFoundField("subnet", "subnet", p.Subnet.key())
		}
	}
	id := p.PrimaryIP.key()
	if id == "" {
		if sn == nil {
			return nil, requiredField("subnet")
		}
		return sn, nil
	}
	ip := c.s.reservedIPs[id]
	if ip == nil {
		return nil, notFoundField("reserved IP", "primary_ip", id)
	}
	if sn != nil && ip.subnetID != sn.id {
		return nil, badField("primary_ip", id, "The reserved IP is not in the subnet %s.", sn.id)
	}
	return c.s.catalogue.subnets[ip.subnetID], nil
}

func (c *call) vniSecurityGroups(groups []identity, vpcID string) ([]string, error) {
	if len(groups) == 0 {
		return []string{c.s.catalogue.vpcs[vpcID].securityGroupID}, nil
	}
	if len(groups) > maxSecurityGroupsPerVNI {
		return nil, overQuota("A target may be in %d security groups.", maxSecurityGroupsPerVNI)
	}
	var ids []string
	for _, group := range groups {
		g := c.s.securityGroups[group.key()]
		if g == nil {
			return nil, notFoundField("security group", "security_groups", group.key())
		}
		if g.vpcID != vpcID {
			return nil, badField("security_groups", g.id, "The security group is in another VPC.")
		}
		if !slices.Contains(ids, g.id) {
			ids = append(ids, g.id)
		}
	}
	return ids, nil
}

// newMAC is a locally administered address in the form of IBM's: 02:00 and four more bytes, upper case.
func (s *Simulator) newMAC() string {
	for {
		var raw [4]byte
		_, _ = rand.Read(raw[:]) // never fails
		mac := fmt.Sprintf("02:00:%02X:%02X:%02X:%02X", raw[0], raw[1], raw[2], raw[3])
		if !s.taken.has(macKey(mac)) {
			return mac
		}
	}
}

type vniAnswer struct {
	AllowIPSpoofing bool                   `json:"allow_ip_spoofing"`
	AutoDelete      bool                   `json:"auto_delete"`
	CreatedAt       timestamp              `json:"created_at"`
	CRN             string                 `json:"crn"`
	NAT             bool                   `json:"enable_infrastructure_nat"`
	Href            string                 `json:"href"`
	ID              string                 `json:"id"`
	IPs             []reservedIPReference  `json:"ips"`
	LifecycleState  string                 `json:"lifecycle_state"`
	MACAddress      string                 `json:"mac_address,omitempty"`
	Name            string                 `json:"name"`
	PrimaryIP       reservedIPReference    `json:"primary_ip"`
	Filtering       string                 `json:"protocol_state_filtering_mode"`
	ResourceGroup   resourceGroupReference `json:"resource_group"`
	ResourceType    string                 `json:"resource_type"`
	SecurityGroups  []untypedReference     `json:"security_groups"`
	Subnet          reference              `json:"subnet"`
	Target          *attachmentTarget      `json:"target,omitempty"`
	VPC             reference              `json:"vpc"`
	Zone            zoneReference          `json:"zone"`
}

type attachmentTarget struct {
	Href         string `json:"href"`
	ID           string `json:"id"`
	Name         string `json:"name"`
	ResourceType string `json:"resource_type"`
}

func (c *call) vniReference(v *vni) reference {
	return reference{
		CRN: crn(v.zone, "virtual-network-interface", v.id), Href: c.href("/virtual_network_interfaces/" + v.id), ID: v.id,
		Name: v.name, ResourceType: vniType,
	}
}

func (c *call) vniAnswer(v *vni) vniAnswer {
	ref := c.vniReference(v)
	answer := vniAnswer{
		AllowIPSpoofing: v.spoofing, AutoDelete: v.autoDelete, CreatedAt: v.created, CRN: ref.CRN, NAT: v.nat,
		Href: ref.Href, ID: v.id, IPs: render(v.ips, c.reservedIPReference), LifecycleState: v.lifecycle, Name: v.name,
		PrimaryIP: c.reservedIPReference(v.primary()), Filtering: v.filtering, ResourceGroup: c.resourceGroup(),
		ResourceType: vniType, SecurityGroups: c.vniGroups(v),
		Subnet: c.subnetReference(c.s.catalogue.subnets[v.subnetID]), VPC: c.vpcReference(c.s.catalogue.vpcs[v.vpcID]),
		Zone: c.zone(v.zone),
	}
	if v.lifecycle != lifecyclePending {
		answer.MACAddress = v.mac
	}
	if a := v.attachment; a != nil {
		answer.Target = &attachmentTarget{Href: c.attachmentHref(a), ID: a.id, Name: a.name, ResourceType: attachmentType}
	}
	return answer
}

func (c *call) vniGroups(v *vni) []untypedReference {
	return render(v.securityGroups, func(id string) untypedReference { return c.securityGroupReference(c.s.securityGroups[id]) })
}

func (c *call) vniByPath() (*vni, error) {
	v := c.s.vnis[c.path("id")]
	if v == nil {
		return nil, notFound("virtual network interface", c.path("id"))
	}
	return v, nil
}

func (c *call) listVNIs() (reply, error) {
	items := list(c.s.vnis, func(*vni) bool { return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) })
	items, meta, err := page(c, items, bySeq[*vni]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		VNIs []vniAnswer `json:"virtual_network_interfaces"`
	}{meta, render(items, c.vniAnswer)}), nil
}

func (c *call) getVNI() (reply, error) {
	v, err := c.vniByPath()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: c.vniAnswer(v), etag: v.etag()}, nil
}

// checkMatch holds If-Match; the comparison is the weak one (RFC 9110 section 13.1.1 wants the strong one, but the
// API's tags are weak, as its own fixtures show them).
func (c *call) checkMatch(etag string) error {
	want := c.r.Header.Get("If-Match")
	if want == "" || want == "*" || strings.TrimPrefix(want, "W/") == strings.TrimPrefix(etag, "W/") {
		return nil
	}
	return &apiError{
		Status: http.StatusPreconditionFailed, Code: codePrecondition, Message: "The resource has changed: its ETag is not the one in If-Match.",
		Target: &errorTarget{Name: "If-Match", Type: "header", Value: want},
	}
}

func (c *call) updateVNI() (reply, error) {
	v, err := c.vniByPath()
	if err != nil {
		return reply{}, err
	}
	if err := c.checkMatch(v.etag()); err != nil {
		return reply{}, err
	}
	var p vniPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if err := v.usable(); err != nil {
		return reply{}, err
	}
	next := *v
	next.spoofing, next.nat = isSet(p.AllowIPSpoofing, v.spoofing), isSet(p.NAT, v.nat)
	next.autoDelete = isSet(p.AutoDelete, v.autoDelete)
	if p.Filtering != nil {
		next.filtering = *p.Filtering
	}
	if err := next.checkFlags(); err != nil {
		return reply{}, err
	}
	if next.autoDelete && v.attachment == nil {
		return reply{}, badField("auto_delete", "true", "auto_delete must be false if the virtual network interface is unbound.")
	}
	if p.Name != "" && p.Name != v.name {
		taken := func(name string) bool { return c.vniNameTaken(v.vpcID, name) }
		if next.name, err = renamed(v.name, p.Name, true, taken); err != nil {
			return reply{}, err
		}
	}
	next.version++
	c.s.taken.drop(v.keys()...)
	c.s.taken.add(next.keys()...)
	*v = next
	return reply{status: http.StatusOK, body: c.vniAnswer(v), etag: v.etag()}, nil
}

func (c *call) deleteVNI() (reply, error) {
	v, err := c.vniByPath()
	if err != nil {
		return reply{}, err
	}
	if err := c.checkMatch(v.etag()); err != nil {
		return reply{}, err
	}
	if v.attachment != nil {
		return reply{}, conflict(codeVNIInUse, "The virtual network interface is bound to %s.", v.attachment.id)
	}
	if v.lifecycle != lifecycleDeleting {
		v.lifecycle = lifecycleDeleting
		v.version++
		c.s.after(c.s.opts.Delays.Delete+c.takeSlow(), func() { c.s.dropVNI(v) })
	}
	return reply{status: http.StatusAccepted, body: c.vniAnswer(v)}, nil
}

// dropVNI removes an interface and lets go of its addresses.
func (s *Simulator) dropVNI(v *vni) {
	s.forgetVNI(v)
	for _, ip := range v.ips {
		s.unbind(ip)
	}
}
