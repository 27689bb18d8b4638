package vpcsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
)

// State is what has happened in the simulated account so far.
type State struct {
	// ServersCreated, VNIsCreated, ReservedIPsCreated and DNSRecordsCreated count everything ever made, the deleted
	// included; the provider's own reserved IPs are never counted.
	ServersCreated     int `json:"servers_created"`
	VNIsCreated        int `json:"vnis_created"`
	ReservedIPsCreated int `json:"reserved_ips_created"`
	DNSRecordsCreated  int `json:"dns_records_created"`
	// LiveServers, VNIs, ReservedIPs and DNSRecords count what there is now.
	LiveServers int `json:"live_servers"`
	VNIs        int `json:"vnis"`
	ReservedIPs int `json:"reserved_ips"`
	DNSRecords  int `json:"dns_records"`
	// PowerOns counts how often hardware was switched on.
	PowerOns int `json:"power_ons"`
	// Calls counts the calls by the SDK's name of the operation, refused ones included.
	Calls map[string]int `json:"calls"`
	// Servers are the live servers in order of creation.
	Servers []ServerState `json:"servers"`
	// Addresses and Records tell what is reserved and resolvable now, for people and for tests.
	Addresses []AddressState `json:"addresses"`
	Records   []RecordState  `json:"records"`
	// ClustersCreated counts how often a cluster was created on the machines, or half of one, and ControllerVMs
	// tells what their controller VMs are now.
	ClustersCreated int            `json:"clusters_created"`
	ControllerVMs   []ControllerVM `json:"controller_vms,omitempty"`
}

// ServerState is one live server.
type ServerState struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Zone          string   `json:"zone"`
	Profile       string   `json:"profile"`
	Status        string   `json:"status"`
	StatusReasons []string `json:"status_reasons"`
	Powered       bool     `json:"powered"`
	PowerOns      int      `json:"power_ons"`
	IP            string   `json:"ip"`
	MAC           string   `json:"mac"`
	UserData      string   `json:"user_data"`
}

// AddressState is one reserved IP that is not the provider's. VNI is empty for an unbound one.
type AddressState struct {
	Address string `json:"address"`
	Name    string `json:"name"`
	VNI     string `json:"vni"`
}

// RecordState is one DNS record.
type RecordState struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Data string `json:"data"`
}

// counters count what is made, over the simulator's life.
type counters struct {
	servers, vnis, reservedIPs, records, powerOns int
	calls                                         map[string]int
}

// State returns the present state.
func (s *Simulator) State() State {
	s.mu.Lock()
	out := s.state()
	s.mu.Unlock()
	if h, ok := s.opts.Hardware.(ClusteredHardware); ok {
		out.ClustersCreated, out.ControllerVMs = h.Clusters()
	}
	return out
}

func (s *Simulator) state() State {
	servers := list(s.servers, func(*server) bool { return true })
	slices.SortFunc(servers, func(a, b *server) int { return int(a.seq - b.seq) })
	addresses := list(s.reservedIPs, func(ip *reservedIP) bool { return ip.owner == ownerUser })
	slices.SortFunc(addresses, func(a, b *reservedIP) int { return a.address.Compare(b.address) })
	records := list(s.records, func(*dnsRecord) bool { return true })
	slices.SortFunc(records, func(a, b *dnsRecord) int { return int(a.seq - b.seq) })
	return State{
		ServersCreated: s.counts.servers, VNIsCreated: s.counts.vnis, ReservedIPsCreated: s.counts.reservedIPs,
		DNSRecordsCreated: s.counts.records, LiveServers: len(servers), VNIs: len(s.vnis), ReservedIPs: len(addresses),
		DNSRecords: len(records), PowerOns: s.counts.powerOns, Calls: maps.Clone(s.counts.calls),
		Servers: render(servers, serverState), Addresses: render(addresses, addressState),
		Records: render(records, func(r *dnsRecord) RecordState { return RecordState{r.kind, r.name, r.data} }),
	}
}

func serverState(sv *server) ServerState {
	v := sv.attachments[0].vni
	return ServerState{
		ID: sv.id, Name: sv.name, Zone: sv.zone, Profile: sv.profile.name, Status: sv.status,
		StatusReasons: render(sv.reasons, func(r statusReason) string { return r.Code }),
		Powered:       sv.powered, PowerOns: sv.powerOns, IP: v.primary().address.String(), MAC: v.mac, UserData: sv.userData,
	}
}

func addressState(ip *reservedIP) AddressState {
	a := AddressState{Address: ip.address.String(), Name: ip.name}
	if ip.vni != nil {
		a.VNI = ip.vni.name
	}
	return a
}

// controlRoutes are the simulator's own, outside IBM's paths.
func (s *Simulator) controlRoutes() {
	s.mux.HandleFunc("GET /_sim/state", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, newTrace(), http.StatusOK, s.State())
	})
	s.mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		document := map[string]any{"faults": s.Faults()}
		if h, ok := s.opts.Hardware.(FaultyHardware); ok {
			document["machine_faults"] = h.FaultRules()
		}
		s.write(w, newTrace(), http.StatusOK, document)
	})
	s.mux.HandleFunc("POST /_sim/faults", s.postFault)
	clearing := func(w http.ResponseWriter, r *http.Request) {
		var ids []string
		if id := r.PathValue("id"); id != "" {
			ids = append(ids, id)
		}
		s.ClearFaults(ids...)
		if h, ok := s.opts.Hardware.(FaultyHardware); ok {
			h.ClearFaults(ids...)
		}
		s.write(w, newTrace(), http.StatusNoContent, nil)
	}
	s.mux.HandleFunc("DELETE /_sim/faults", clearing)
	s.mux.HandleFunc("DELETE /_sim/faults/{id}", clearing)
}

// postFault arms one fault, of the cloud or, with the field "fault" in the place of "kind", of its machines. Unlike
// IBM's paths it refuses unknown fields: a misspelt fault would never strike.
func (s *Simulator) postFault(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	var id string
	if err == nil {
		id, err = s.AddFaultRule(body)
	}
	if err != nil {
		s.fail(w, newTrace(), &apiError{Status: http.StatusBadRequest, Code: codeBadRequest, Message: err.Error()})
		return
	}
	s.write(w, newTrace(), http.StatusCreated, map[string]string{"id": id})
}

// AddFaultRule arms a fault of the cloud or of its machines that is given as JSON; see POST /_sim/faults.
func (s *Simulator) AddFaultRule(rule []byte) (id string, err error) {
	var kind struct {
		Fault string `json:"fault"`
	}
	if err := json.Unmarshal(rule, &kind); err != nil {
		return "", err
	}
	if kind.Fault != "" {
		h, ok := s.opts.Hardware.(FaultyHardware)
		if !ok {
			return "", errors.New("there are no machines here that could be faulty")
		}
		return h.AddFault(rule)
	}
	decoder := json.NewDecoder(bytes.NewReader(rule))
	decoder.DisallowUnknownFields()
	var f Fault
	if err := decoder.Decode(&f); err != nil {
		return "", err
	}
	return s.AddFault(f)
}
