package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// OrderRequest documents the body of POST /api/config/nodes.
type OrderRequest struct {
	Node    OrderNode    `json:"node_config"`
	Network OrderNetwork `json:"network_config,omitempty"`
	Cluster OrderCluster `json:"cluster_config,omitempty"`
}

// OrderNode is the machine that is ordered.
type OrderNode struct {
	Name      string            `json:"node_name" maxLength:"40" doc:"RFC 1123 label, lower case, with a letter."`
	Profile   string            `json:"server_profile" example:"bx2d-metal-96x384"`
	Role      string            `json:"cluster_role,omitempty"`
	Storage   map[string]any    `json:"storage_config,omitempty" doc:"boot_disk and data_drives, as in the node configuration: disks by serial, wwn, size or type."`
	Provider  string            `json:"provider,omitempty" enum:"ibm_vpc,rack" default:"ibm_vpc"`
	Zone      string            `json:"zone,omitempty"`
	Installer string            `json:"installer,omitempty" doc:"Artifact; without it the server's default."`
	Image     string            `json:"image,omitempty" doc:"Image for network boot of a server of IBM Cloud VPC, id or name; nothing = the newest."`
	Keys      []string          `json:"keys,omitempty" maxItems:"200" doc:"SSH keys given to the initialization of such a server, ids or names; nothing = those of the server's settings. A network boot ignores them."`
	MAC       string            `json:"mac,omitempty" doc:"Boot interface; a rack machine needs it or its serial number."`
	Serial    string            `json:"serial,omitempty" maxLength:"64" doc:"Serial number in a rack machine's firmware (SMBIOS); its MAC address is then learnt at its first boot."`
	Power     *deploy.Power     `json:"power,omitempty" doc:"How a rack machine is switched: by a person (manual, or nothing) or by its controller (redfish)."`
	Labels    map[string]string `json:"labels,omitempty"`
}

// OrderNetwork is where the machine is put.
type OrderNetwork struct {
	Subnet    string      `json:"management_subnet,omitempty" doc:"Id or name; auto or nothing = the server's default."`
	Workload  []string    `json:"workload_subnets,omitempty" maxItems:"7"`
	Groups    []string    `json:"security_groups,omitempty" maxItems:"5" doc:"Security groups of every interface of a server of IBM Cloud VPC, ids or names; nothing = those of the server's settings."`
	Operation string      `json:"cluster_operation,omitempty"`
	IP        string      `json:"management_ip,omitempty"`
	Netmask   string      `json:"netmask,omitempty" doc:"Of a rack machine, dotted or as a prefix length; nothing = that of the server's settings."`
	Gateway   string      `json:"gateway,omitempty" doc:"Of a rack machine; nothing = that of the server's settings."`
	DNS       []string    `json:"dns_servers,omitempty"`
	AHV       string      `json:"ahv_ip,omitempty" doc:"Hypervisor's address; nothing = one of the server's range."`
	CVM       string      `json:"cvm_ip,omitempty" doc:"Controller VM's address, likewise."`
	VLANs     []OrderVLAN `json:"vlans,omitempty" maxItems:"16" doc:"Workload networks over the management interface's port."`
}

// OrderVLAN is a network that the machine reaches over a VLAN.
type OrderVLAN struct {
	ID     int    `json:"id" minimum:"1" maximum:"4094"`
	Subnet string `json:"subnet" doc:"Id or name."`
	Float  bool   `json:"float,omitempty" doc:"It may move to another server."`
}

// OrderCluster is what the machine belongs to.
type OrderCluster struct {
	Type string `json:"cluster_type,omitempty"`
	Name string `json:"cluster_name,omitempty" maxLength:"63"`
}

// OrderAnswer says what was accepted.
type OrderAnswer struct {
	NodeID              int64      `json:"node_id"`
	DeploymentID        int64      `json:"deployment_id"`
	EstimatedCompletion *time.Time `json:"estimated_completion" doc:"Null when there is no history to estimate from."`
	MonitoringEndpoint  string     `json:"monitoring_endpoint" doc:"Path of the node's status."`
	Message             string     `json:"message"`
}

// Line is the answer as a shell prints it.
func (a OrderAnswer) Line() string {
	return fmt.Sprintf("ok node %d deployment %d: %s", a.NodeID, a.DeploymentID, a.Message)
}

// orderNode answers POST /api/config/nodes; with ?dry_run=true it tells what
// would become of the order and does nothing.
func (s *Server) orderNode(w http.ResponseWriter, r *http.Request) {
	var o objectReader
	dryRun := o.dryRun(r)
	in, node, strange, err := s.readOrder(w, r, &o)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if dryRun {
		s.planOrder(w, r, in, &o, strange)
		return
	}
	for _, f := range in.Check("") {
		f.Field = orderField(f.Field)
		if (node != nil || !strings.HasPrefix(f.Field, "node_config.")) && !o.complains(f.Field) { // else it, or the object itself, is complained of
			o.add(f.Field, f.Code, f.Message)
		}
	}
	if err := deploy.Invalid(o.bad); err != nil {
		s.refuse(w, r, err)
		return
	}
	made, err := s.Lifecycle.Deploy(r.Context(), in)
	if err != nil {
		s.refuse(w, r, orderError(err))
		return
	}
	out := s.accepted(r, made, in.Spec.Provider, in.Spec.ServerProfile, in.Name)
	if len(strange) > 0 {
		out.Message += "; not known and passed over: " + strings.Join(strange, ", ")
	}
	answer(w, r, http.StatusAccepted, out)
}

// strangeMembers are the members of an object that are none of the documented ones,
// at most 20. Clients of older versions of this request send some that say
// nothing here, so they are passed over; but who misspelt one must hear of it.
func strangeMembers(in reportFields, path string, documented any) []string {
	known := map[string]bool{}
	for field := range reflect.TypeOf(documented).Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[name] = true
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if !known[name] && len(out) < 20 {
			out = append(out, path+boundedName(name))
		}
	}
	return out
}

// accepted is the answer to a deployment that was asked for.
func (s *Server) accepted(r *http.Request, made lifecycle.Deployed, provider, profile, name string) OrderAnswer {
	out := OrderAnswer{
		NodeID: made.NodeID, DeploymentID: made.DeploymentID, Message: fmt.Sprintf("deployment %d of %s was accepted", made.Number, name),
		MonitoringEndpoint: fmt.Sprintf("/api/status/nodes/%d", made.NodeID),
	}
	if made.Existing {
		out.Message = "this was accepted before; nothing new was made"
	}
	if usual, err := s.Statuses.Usual(r.Context(), provider, profile); err == nil && usual > 0 {
		at := s.Now().UTC().Add(usual).Truncate(time.Second)
		out.EstimatedCompletion = &at
	}
	return out
}

// readOrder reads the body; what is wrong with its form is gathered in o, and
// strange are the members that are not known.
func (s *Server) readOrder(w http.ResponseWriter, r *http.Request, o *objectReader) (in lifecycle.NewDeployment, node reportFields, strange []string, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return in, nil, nil, unsupported("application/json")
	}
	body, err := readBody(w, r)
	if err != nil {
		return in, nil, nil, err
	}
	top, err := jsonFields(body, false)
	if err != nil {
		return in, nil, nil, err
	}
	node = o.object(top, "node_config", "node_config", true)
	network := o.object(top, "network_config", "network_config", false)
	cluster := o.object(top, "cluster_config", "cluster_config", false)
	in = lifecycle.NewDeployment{
		Name: o.text(node, "node_config.node_name"), ClusterName: o.text(cluster, "cluster_config.cluster_name"),
		Labels: o.labels(node, "node_config.labels"), Actor: actor(r),
		IdempotencyKey: o.word(r.Header.Get("Idempotency-Key"), "idempotency_key"),
		Spec:           s.orderSpec(o, "", node, network),
	}
	in.Spec.ClusterType, in.Spec.ClusterOperation = o.text(cluster, "cluster_config.cluster_type"), o.text(network, "network_config.cluster_operation")
	strange = slices.Concat(strangeMembers(top, "", OrderRequest{}), strangeMembers(node, "node_config.", OrderNode{}),
		strangeMembers(network, "network_config.", OrderNetwork{}), strangeMembers(cluster, "cluster_config.", OrderCluster{}))
	return in, node, strange, nil
}

// orderSpec reads what a machine is deployed on; at is what stands before
// node_config and network_config in the request: "" or "nodes.0.".
func (s *Server) orderSpec(o *objectReader, at string, node, network reportFields) deploy.Spec {
	ofNode := func(name string) string { return o.text(node, at+"node_config."+name) }
	ofNetwork := func(name string) string { return o.text(network, at+"network_config."+name) }
	spec := deploy.Spec{
		Provider: ofNode("provider"), ServerProfile: ofNode("server_profile"), Zone: ofNode("zone"), Installer: ofNode("installer"), MAC: ofNode("mac"), Serial: ofNode("serial"),
		ClusterRole: ofNode("cluster_role"), ManagementSubnet: ofNetwork("management_subnet"),
		WorkloadSubnets: o.list(network, at+"network_config.workload_subnets"), ManagementIP: ofNetwork("management_ip"),
		VLANs: o.vlans(network, at+"network_config.vlans"), AHVIP: ofNetwork("ahv_ip"), CVMIP: ofNetwork("cvm_ip"),
		DNSServers: o.list(network, at+"network_config.dns_servers"), Power: o.power(node, at+"node_config.power"),
		Image: ofNode("image"), Keys: o.list(node, at+"node_config.keys"), SecurityGroups: o.list(network, at+"network_config.security_groups"),
		Netmask: ofNetwork("netmask"), Gateway: ofNetwork("gateway"), Storage: s.storage(o, at, node),
	}
	if spec.Provider == "" {
		spec.Provider = deploy.ProviderIBMVPC
	}
	if strings.EqualFold(spec.ManagementSubnet, "auto") {
		spec.ManagementSubnet = ""
	}
	return spec
}

// power reads how a rack machine is switched. It is strict: a setting that is
// misspelt must not fall back to another, and a password has no place here,
// because what is read is stored and shown.
func (o *objectReader) power(in reportFields, path string) *deploy.Power {
	fields := o.object(in, last(path), path, false)
	if fields == nil {
		return nil
	}
	if _, given := fields["password"]; given {
		o.add(path+".password", deploy.CodeInvalid, "a password is not accepted: give password_ref, the name of a secret that the server holds")
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(in[last(path)]))
	decoder.DisallowUnknownFields()
	out := &deploy.Power{}
	if err := decoder.Decode(out); err != nil {
		o.add(path, deploy.CodeInvalid, "must have type, url, username, password_ref, system_id, insecure_tls, ca_file, boot_from, boot_mode and off_at_release only: texts, and yes or no for insecure_tls and off_at_release")
		return nil
	}
	for name, text := range map[string]*string{"url": &out.URL, "username": &out.Username, "password_ref": &out.PasswordRef, "system_id": &out.SystemID, "ca_file": &out.CAFile} {
		*text = o.word(*text, path+"."+name)
	}
	return out
}

// readBody reads a request's body, up to the limit.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, jsonBody))
	if errorsIsTooLarge(err) {
		return nil, deploy.Errorf(deploy.CodeTooLarge, "a request has at most 256 KiB")
	}
	if err != nil {
		return nil, malformed("the body could not be read to its end")
	}
	return body, nil
}

// storage checks the disk layout; one without any disk is none. at is that of
// orderSpec.
func (s *Server) storage(o *objectReader, at string, node reportFields) json.RawMessage {
	layout := o.object(node, "storage_config", at+"node_config.storage_config", false)
	drives := bytes.TrimSpace(layout["data_drives"])
	if layout["boot_disk"] == nil && (len(drives) == 0 || string(drives) == "[]" || string(drives) == "null") {
		return nil
	}
	var p parsedReport
	clean := reportFields{"details": node["storage_config"]}.details(&p, false)
	for _, f := range p.bad {
		o.add(at+"node_config.storage_config", f.Code, f.Message)
	}
	if clean != nil && s.CheckStorage != nil {
		for _, f := range s.CheckStorage(clean) {
			o.add(at+"node_config."+f.Field, f.Code, f.Message)
		}
	}
	return clean
}

// orderFields maps the core's names of fields to those of this endpoint.
var orderFields = map[string]string{
	"name": "node_config.node_name", "labels": "node_config.labels", "cluster_name": "cluster_config.cluster_name",
	"spec.provider": "node_config.provider", "spec.server_profile": "node_config.server_profile", "spec.zone": "node_config.zone",
	"spec.installer": "node_config.installer", "spec.mac": "node_config.mac", "spec.serial": "node_config.serial", "serial": "node_config.serial", "mac": "node_config.mac", "spec.management_subnet": "network_config.management_subnet",
	"spec.management_ip": "network_config.management_ip", "spec.workload_subnets": "network_config.workload_subnets",
	"spec.dns_servers": "network_config.dns_servers", "spec.ahv_ip": "network_config.ahv_ip", "spec.cvm_ip": "network_config.cvm_ip",
	"spec.vlans": "network_config.vlans", "spec.storage": "node_config.storage_config", "spec.power": "node_config.power",
	"spec.image": "node_config.image", "spec.keys": "node_config.keys", "spec.security_groups": "network_config.security_groups",
	"spec.netmask": "network_config.netmask", "spec.gateway": "network_config.gateway",
}

func orderField(name string) string {
	if to, ok := orderFields[name]; ok {
		return to
	}
	if rest, ok := strings.CutPrefix(name, "spec.vlans."); ok {
		return "network_config.vlans." + rest
	}
	if rest, ok := strings.CutPrefix(name, "spec.power."); ok {
		return "node_config.power." + rest
	}
	return name
}

// orderError gives a refusal's fields the names of this endpoint.
func orderError(err error) error {
	e, ok := deploy.AsError(err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	c := *e
	c.Fields = make([]deploy.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		f.Field = orderField(f.Field)
		c.Fields[i] = f
	}
	return &c
}
