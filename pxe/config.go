package pxe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// configuration answers GET /boot/server/{server_ip}. Only the machine itself
// may read it, because the document carries its report token.
func (h *Handler) configuration(w http.ResponseWriter, r *http.Request) {
	body, contentType, err := h.document(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	hd := w.Header()
	hd.Set("Content-Type", contentType)
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the machine went away: it will ask again
	}
}

// document checks who asks, builds the document and records that it was served.
func (h *Handler) document(r *http.Request) (body []byte, contentType string, err error) {
	ctx := r.Context()
	p := access.FromContext(ctx)
	secret, _ := bearer(r)
	if p == nil || secret == "" {
		return nil, "", deploy.Errorf(deploy.CodeUnauthenticated, "a report token is needed, as Authorization: Bearer")
	}
	if p.Kind != access.KindMachine {
		return nil, "", deploy.Errorf(deploy.CodeForbidden, "only the machine itself may read its configuration")
	}
	ip, err := netip.ParseAddr(r.PathValue("server_ip"))
	if err != nil {
		return nil, "", deploy.Errorf(deploy.CodeInvalid, "server_ip is not an IP address")
	}
	m, err := h.machines.Machine(ctx, p.DeploymentID)
	if err != nil {
		return nil, "", err
	}
	if own, err := netip.ParseAddr(m.ManagementIP); err != nil || own != ip.Unmap() {
		return nil, "", deploy.Errorf(deploy.CodeForbidden, "this token is not of the machine at %s", ip)
	}
	doc, err := h.build(r, m, secret)
	if err != nil {
		return nil, "", err
	}
	if r.URL.Query().Get("format") == "sh" {
		contentType = "text/plain; charset=utf-8"
		body, err = doc.Shell()
	} else {
		contentType = "application/json"
		body, err = doc.JSON()
	}
	if err != nil {
		return nil, "", err
	}
	if r.Method == http.MethodHead {
		return nil, contentType, nil
	}
	if _, err := h.lifecycle.ConfigServed(ctx, p.DeploymentID, p.Attempt, remote(r)); err != nil {
		return nil, "", err
	}
	return body, contentType, nil
}

// bearer takes the secret out of the Authorization header (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(secret), true
}

// build puts the document together. What is missing on our side is said so and
// worth another try; the document is complete or it is not served.
func (h *Handler) build(r *http.Request, m query.Machine, token string) (nodeconfig.Config, error) {
	base, err := h.base(r)
	if err != nil {
		return nodeconfig.Config{}, err
	}
	c := nodeconfig.Config{
		NodeConfig: nodeconfig.Node{
			NodeID: globalID(m.NodeID), NodeName: m.NodeName, MgmtIP: m.ManagementIP,
			AHVIP: m.Address("ahv").IP, CVMIP: m.Address("cvm").IP,
		},
		Network:   h.network(m),
		Resources: h.set.Resources,
		Cluster:   cluster(m),
		Access:    h.set.Access,
		Report:    nodeconfig.Report{URL: base + "/api/status/phase", Token: token, Heartbeat: h.set.Heartbeat},
		Scripts:   map[string]nodeconfig.Script{},
	}
	for name, sum := range h.scripts.Sums() {
		c.Scripts[name] = nodeconfig.Script{URL: base + "/boot/scripts/" + name, SHA256: sum}
	}
	if c.Storage, err = h.storage(m.Spec); err != nil {
		return nodeconfig.Config{}, err
	}
	c.Installer = nodeconfig.Installer{Artifact: m.Spec.Installer, Args: h.set.InstallerArgs, Timeout: h.set.InstallerTimeout}
	if c.Installer.Artifact == "" {
		c.Installer.Artifact = h.set.Installer
	}
	if c.Artifacts, err = h.wanted(base, c.Installer.Artifact); err != nil {
		return nodeconfig.Config{}, err
	}
	if err := c.Validate(); err != nil {
		h.log.WarnContext(r.Context(), "a machine's configuration is not complete", "node", m.NodeName, "deployment", m.DeploymentID, "problem", err)
		return nodeconfig.Config{}, &deploy.Error{
			Code: deploy.CodeUpstreamUnavailable, Message: "the configuration is not complete: " + err.Error(),
			Hint: "correct the settings or the node's specification; the machine asks again", Retryable: true,
		}
	}
	return c, nil
}

// network is the management interface, from what the provider recorded; for a
// rack machine, from its spec and the settings.
func (h *Handler) network(m query.Machine) nodeconfig.Network {
	a := m.Address("management")
	n := nodeconfig.Network{
		Address: m.ManagementIP, Gateway: a.Gateway, DNSServers: m.Spec.DNSServers,
		Domain: h.set.Domain, MAC: m.MAC, MTU: a.MTU, Netmask: netmask(a.CIDR),
	}
	var resolvers []string // of the settings' subnet
	if m.Provider == deploy.ProviderRack && n.Netmask == "" {
		spec := m.Spec
		spec.ManagementIP = m.ManagementIP // the node's is the one that holds
		if subnet, ok := spec.Subnet(h.set.Networks); ok {
			n.Netmask, resolvers = netmask(subnet.Prefix.String()), subnet.DNSServers
			if subnet.Gateway.IsValid() {
				n.Gateway = subnet.Gateway.String()
			}
		}
	}
	for _, v := range m.Spec.VLANs {
		tagged := m.Address(fmt.Sprintf("vlan-%d", v.ID))
		line := nodeconfig.VLAN{ID: v.ID, Address: tagged.IP, Netmask: netmask(tagged.CIDR)}
		if line.Address == "" || line.Netmask == "" { // both or neither: a VLAN without an address is one
			line.Address, line.Netmask = "", ""
		}
		n.VLANs = append(n.VLANs, line)
	}
	if len(n.DNSServers) == 0 {
		n.DNSServers = a.DNSServers
	}
	if len(n.DNSServers) == 0 {
		n.DNSServers = resolvers
	}
	if len(n.DNSServers) == 0 {
		n.DNSServers = h.set.DNSServers
	}
	return n
}

// netmask is the dotted mask of a prefix in CIDR notation, "" if it is none.
func netmask(cidr string) string {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() {
		return ""
	}
	return net.IP(net.CIDRMask(p.Bits(), 32)).String()
}

func cluster(m query.Machine) nodeconfig.Cluster {
	c := nodeconfig.Cluster{
		Name: m.Cluster.Name, Type: cmp.Or(m.Cluster.Type, m.Spec.ClusterType), Operation: m.Spec.ClusterOperation,
		VIP: m.Cluster.VIP, RedundancyFactor: m.Cluster.RedundancyFactor,
	}
	for _, n := range m.Peers {
		c.Nodes = append(c.Nodes, nodeconfig.ClusterNode{NodeName: n.NodeName, MgmtIP: n.ManagementIP, CVMIP: n.CVMIP})
	}
	return c
}

// storage is the spec's layout, else the profile's, else the default.
func (h *Handler) storage(s deploy.Spec) (nodeconfig.Storage, error) {
	if len(s.Storage) > 0 && string(s.Storage) != "null" {
		var out nodeconfig.Storage
		if err := json.Unmarshal(s.Storage, &out); err != nil {
			return out, &deploy.Error{Code: deploy.CodeWrongState, Message: "the deployment's storage layout cannot be read: " + err.Error()}
		}
		return out, nil
	}
	if st, ok := h.set.Storage[s.ServerProfile]; ok {
		return st, nil
	}
	return h.set.Storage[""], nil
}

// wanted lists the installer first, then the images.
func (h *Handler) wanted(base, installer string) ([]nodeconfig.Artifact, error) {
	names := []string{installer}
	if len(h.set.Images) > 0 {
		names = append(names, h.set.Images...)
	} else {
		all, err := h.artifacts.List()
		if err != nil {
			return nil, fmt.Errorf("list artifacts: %w", err)
		}
		for _, a := range all {
			if slices.Contains([]artifact.Kind{artifact.KindHypervisor, artifact.KindCVM, artifact.KindImage}, a.Kind) {
				names = append(names, a.Name)
			}
		}
	}
	out := make([]nodeconfig.Artifact, 0, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		a, err := h.usable(name)
		if err != nil {
			return nil, err
		}
		out = append(out, nodeconfig.Artifact{Name: a.Name, URL: base + artifact.Prefix + a.Name, SHA256: a.SHA256, Size: a.Size})
	}
	return out, nil
}
