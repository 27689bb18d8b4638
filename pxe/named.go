package pxe

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// named answers GET /boot/config, which racks and old URLs use: it says which
// machine this is. To a rack machine that has proven itself, and whose
// deployment waits for it, it is what /boot/d/{locator} is to others. To
// anybody else it changes nothing and carries no secret.
func (h *Handler) named(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		script(w, r, "")
		return
	}
	text, err := h.namedScript(r)
	if err != nil {
		h.log.ErrorContext(r.Context(), "boot request could not be answered", "remote", remote(r), "error", err)
		text = h.again(r, Screen{Who: "this machine", Lines: []string{"Slipway cannot answer at the moment"}})
	}
	script(w, r, text)
}

// namedScript finds the machine and renders what it gets. An error is trouble
// of ours.
func (h *Handler) namedScript(r *http.Request) (string, error) {
	said := readHints(r)
	m, err := h.findNamed(r, said)
	if deploy.HasCode(err, deploy.CodeNotFound) {
		h.strangers.Stranger(r.Context(), string(deploy.CodeNotFound), remote(r), r.URL.Path, "boot request of an unknown machine: "+said.text)
		return StopScript(Screen{Who: "unknown machine, " + said.text, Lines: []string{
			"no node has this address, id or interface", "register it, then restart the machine",
		}})
	}
	if err != nil {
		return "", err
	}
	s := Screen{Who: fmt.Sprintf("node %s (%s), %s", m.NodeName, globalID(m.NodeID), stateText(m))}
	d := phase.DecideBoot(phase.BootFacts{Provider: m.Provider, State: m.State, Open: m.Phase, Reboots: m.Reboots})
	switch {
	case m.Provider != deploy.ProviderRack:
		s.Lines = []string{"this address installs nothing; a deployment has a boot address of its own"}
		return StopScript(s)
	case d == phase.BootDisk:
		return DiskScript(s)
	case d == phase.BootStop:
		s.Lines = []string{"there is nothing to install: deploy the node, then restart the machine"}
		return StopScript(s)
	}
	if missing := unproven(r, said, m); missing != "" {
		s.Lines = []string{"its deployment waits for it, but " + missing, "nothing is given away to a machine that cannot show that it is this node"}
		return StopScript(s)
	}
	return h.decided(r, m.DeploymentID, true, said.serial)
}

// unproven tells what is missing for a rack machine to get a report token:
// it must ask from the node's management address, name the node's own boot
// interface, and say nothing that belongs to another node. A node that is known
// by its serial number alone has no interface yet: the first machine that gives
// this number, from this address, brings it, and from then on it must be that
// one. Empty: nothing is missing. The address is that of the connection, or what
// a trusted proxy says of it; the server has put it into RemoteAddr.
func unproven(r *http.Request, said hints, m query.Machine) string {
	own, err := netip.ParseAddr(m.ManagementIP)
	known := m.MAC != "" || m.Serial == "" // by its MAC address
	switch {
	case err != nil:
		return "the node has no management address"
	case remote(r) != own.Unmap().String():
		return "this request comes from " + remote(r) + ", which is not the node's management address"
	case known && (m.MAC == "" || said.mac != m.MAC):
		return "it does not give the MAC address that the node is registered with"
	case !known && said.serial != m.Serial:
		return "it does not give the serial number that the node is registered with"
	case !known && said.mac == "":
		return "it does not give the MAC address of its boot interface"
	case said.ip != "" && !sameAddress(said.ip, own), said.nodeID != 0 && said.nodeID != m.NodeID,
		said.serial != "" && m.Serial != "" && said.serial != m.Serial:
		return "its request names another node as well"
	}
	return ""
}

func sameAddress(s string, own netip.Addr) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Unmap() == own.Unmap()
}

func stateText(m query.Machine) string {
	if m.State == "" {
		return "never deployed"
	}
	return fmt.Sprintf("deployment %d %s", m.Number, m.State)
}

// hints are what a machine said about itself.
type hints struct {
	nodeID int64
	ip     string
	mac    string
	serial string
	text   string // all of it in words, what is unusable included
}

// readHints reads the query of /boot/config. What is not of its kind counts as
// not said: firmware leaves settings that it does not have empty.
func readHints(r *http.Request) hints {
	q := r.URL.Query()
	var out hints
	var said []string
	if v := q.Get("node_id"); v != "" {
		said = append(said, "node_id "+clip(v))
		if n, err := strconv.ParseInt(strings.TrimPrefix(v, "node_"), 10, 64); err == nil && n > 0 {
			out.nodeID = n
		}
	}
	if v := q.Get("mgmt_ip"); v != "" {
		said = append(said, "mgmt_ip "+clip(v))
		if len(deploy.CheckIP("", v)) == 0 {
			out.ip = v
		}
	}
	if v := q.Get("mac"); v != "" {
		said = append(said, "mac "+clip(v))
		out.mac = bootMAC(r)
	}
	if v := q.Get("serial"); v != "" {
		said = append(said, "serial "+clip(v))
		if serial, ok := deploy.NormalSerial(v); ok {
			out.serial = serial
		}
	}
	if len(said) == 0 {
		said = append(said, "address "+remote(r))
	}
	out.text = strings.Join(said, ", ")
	return out
}

// findNamed reads the node that is named first: by id, by the MAC address,
// which a machine keeps whatever address it was given, by its serial number, by
// the address that it names, and only if it names nothing by the one that it
// asks from.
func (h *Handler) findNamed(r *http.Request, said hints) (query.Machine, error) {
	var tries []query.MachineHint
	if said.nodeID != 0 {
		tries = append(tries, query.MachineHint{NodeID: said.nodeID})
	}
	if said.mac != "" {
		tries = append(tries, query.MachineHint{MAC: said.mac})
	}
	if said.serial != "" {
		tries = append(tries, query.MachineHint{Serial: said.serial})
	}
	if said.ip != "" {
		tries = append(tries, query.MachineHint{IP: said.ip})
	}
	if q := r.URL.Query(); len(tries) == 0 && q.Get("node_id")+q.Get("mgmt_ip")+q.Get("mac")+q.Get("serial") == "" {
		tries = append(tries, query.MachineHint{IP: remote(r)})
	}
	for _, t := range tries {
		m, err := h.machines.FindMachine(r.Context(), t)
		if !deploy.HasCode(err, deploy.CodeNotFound) {
			return m, err
		}
	}
	return query.Machine{}, deploy.Errorf(deploy.CodeNotFound, "there is no such node")
}

// sameHint is the query of /boot/config with which a machine asks again: what
// it said, as far as it was understood, so that nothing foreign gets into a
// script. Empty for other addresses.
func sameHint(r *http.Request) string {
	if r.URL.Path != "/boot/config" {
		return ""
	}
	said, q := readHints(r), url.Values{}
	if said.nodeID != 0 {
		q.Set("node_id", strconv.FormatInt(said.nodeID, 10))
	}
	if said.ip != "" {
		q.Set("mgmt_ip", said.ip)
	}
	if said.mac != "" {
		q.Set("mac", strings.ReplaceAll(said.mac, ":", "-"))
	}
	if said.serial != "" {
		q.Set("serial", said.serial)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// clip shortens what a stranger sent.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
