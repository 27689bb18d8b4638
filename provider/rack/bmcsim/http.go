package bmcsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

type m = map[string]any

const root = "/redfish/v1/"

func link(path string) m { return m{"@odata.id": path} }

// ServeHTTP is the controller's face.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.has(Silent):
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		return
	case s.has(Unavailable):
		w.Header().Set("Retry-After", "7")
		refuse(w, http.StatusServiceUnavailable, "ServiceShuttingDown", "The service is shutting down.")
		return
	case s.has(Throttled):
		refuse(w, http.StatusTooManyRequests, "GeneralError", "Too many requests.")
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"{$}", s.root)
	mux.HandleFunc("POST "+root+"SessionService/Sessions", s.newSession)
	mux.HandleFunc("DELETE "+root+"SessionService/Sessions/{id}", s.behind(s.endSession))
	mux.HandleFunc("GET "+root+"Systems", s.behind(s.list))
	mux.HandleFunc("GET "+root+"Systems/{id}", s.behind(s.show))
	mux.HandleFunc("PATCH "+root+"Systems/{id}", s.behind(s.patch))
	mux.HandleFunc("POST "+root+"Systems/{id}/Actions/ComputerSystem.Reset", s.behind(s.resetAction))
	mux.HandleFunc("GET "+root+"Systems/{id}/EthernetInterfaces", s.behind(s.interfaces))
	mux.HandleFunc("GET "+root+"Systems/{id}/EthernetInterfaces/{nic}", s.behind(s.nic))
	mux.ServeHTTP(w, r)
}

// behind demands a session.
func (s *Simulator) behind(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.known(r.Header.Get("X-Auth-Token")):
			refuse(w, http.StatusUnauthorized, "NoValidSession", "There is no valid session established with the implementation.")
		case s.has(Forbidden) && r.Method != http.MethodDelete:
			refuse(w, http.StatusForbidden, "InsufficientPrivilege", "There are insufficient privileges for the account or credentials associated with the current session.")
		default:
			next(w, r)
		}
	}
}

func (s *Simulator) root(w http.ResponseWriter, _ *http.Request) {
	systems := root + "Systems"
	if s.has(Elsewhere) {
		systems = "@192.0.2.1" + systems
	}
	answer(w, http.StatusOK, m{
		"@odata.id": root, "@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot", "Id": "RootService", "Name": "Simulated controller", "RedfishVersion": "1.15.0",
		"Systems": link(systems), "SessionService": link(root + "SessionService"), "Links": m{"Sessions": link(root + "SessionService/Sessions")},
	})
}

func (s *Simulator) newSession(w http.ResponseWriter, r *http.Request) {
	var in struct{ UserName, Password string }
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		refuse(w, http.StatusBadRequest, "MalformedJSON", "The request body is malformed.")
		return
	}
	id, token, full := s.login(in.UserName, in.Password)
	switch {
	case full:
		refuse(w, http.StatusServiceUnavailable, "SessionLimitExceeded", "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.")
		return
	case token == "":
		// Some controllers repeat what they were sent.
		refuse(w, http.StatusUnauthorized, "ResourceAtUriUnauthorized", "Login failed for "+in.UserName+" with "+in.Password+".")
		return
	}
	w.Header().Set("X-Auth-Token", token)
	w.Header().Set("Location", root+"SessionService/Sessions/"+id)
	answer(w, http.StatusCreated, m{"@odata.id": root + "SessionService/Sessions/" + id, "Id": id, "Name": "Session", "UserName": in.UserName})
}

func (s *Simulator) endSession(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	delete(s.sessions, r.PathValue("id"))
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Simulator) list(w http.ResponseWriter, _ *http.Request) {
	members := []m{}
	for _, id := range s.Systems() {
		members = append(members, link(root+"Systems/"+id))
	}
	answer(w, http.StatusOK, m{"@odata.id": root + "Systems", "Name": "Systems", "Members": members, "Members@odata.count": len(members)})
}

// at finds the system of a request and lets time pass for it; the simulator is
// locked until free is called.
func (s *Simulator) at(w http.ResponseWriter, r *http.Request) (found *system, free func()) {
	s.mu.Lock()
	found = s.systems[r.PathValue("id")]
	if found == nil {
		s.mu.Unlock()
		refuse(w, http.StatusNotFound, "ResourceMissingAtURI", "The resource at the URI "+r.URL.Path+" was not found.")
		return nil, nil
	}
	found.pass(s.opts.Now())
	return found, s.mu.Unlock
}

func (s *Simulator) show(w http.ResponseWriter, r *http.Request) {
	x, free := s.at(w, r)
	if x == nil {
		return
	}
	defer free()
	path := root + "Systems/" + x.id
	answer(w, http.StatusOK, m{
		"@odata.id": path, "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem", "Id": x.id, "Name": x.name, "SerialNumber": x.serial, "PowerState": x.power,
		"Status": m{"State": "Enabled", "Health": "OK"}, "EthernetInterfaces": link(path + "/EthernetInterfaces"),
		"Boot": m{"BootSourceOverrideEnabled": x.enabled, "BootSourceOverrideTarget": x.target, "BootSourceOverrideMode": x.mode,
			"BootSourceOverrideTarget@Redfish.AllowableValues": []string{"None", "Pxe", "Hdd", "UefiHttp"}},
		"Actions": m{"#ComputerSystem.Reset": m{"target": path + "/Actions/ComputerSystem.Reset", "ResetType@Redfish.AllowableValues": s.opts.Resets}},
	})
}

func (s *Simulator) patch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Boot struct{ BootSourceOverrideEnabled, BootSourceOverrideTarget, BootSourceOverrideMode string }
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		refuse(w, http.StatusBadRequest, "MalformedJSON", "The request body is malformed.")
		return
	}
	if !slices.Contains([]string{"", "None", "Pxe", "Hdd", "UefiHttp"}, in.Boot.BootSourceOverrideTarget) {
		refuse(w, http.StatusBadRequest, "PropertyValueNotInList", "The value "+in.Boot.BootSourceOverrideTarget+" is not in the list of acceptable values.")
		return
	}
	x, free := s.at(w, r)
	if x == nil {
		return
	}
	defer free()
	if !s.faults[DeafOverride] {
		for to, from := range map[*string]string{&x.enabled: in.Boot.BootSourceOverrideEnabled, &x.target: in.Boot.BootSourceOverrideTarget, &x.mode: in.Boot.BootSourceOverrideMode} {
			if from != "" {
				*to = from
			}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Simulator) resetAction(w http.ResponseWriter, r *http.Request) {
	var in struct{ ResetType string }
	if json.NewDecoder(r.Body).Decode(&in) != nil || !slices.Contains(s.opts.Resets, in.ResetType) {
		refuse(w, http.StatusBadRequest, "ActionParameterNotSupported", "The parameter ResetType is not supported as given.")
		return
	}
	x, free := s.at(w, r)
	if x == nil {
		return
	}
	defer free()
	if !s.faults[DeafReset] {
		x.reset(in.ResetType, s.opts.Now(), s.opts.Switching)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Simulator) interfaces(w http.ResponseWriter, r *http.Request) {
	x, free := s.at(w, r)
	if x == nil {
		return
	}
	defer free()
	path, members := root+"Systems/"+x.id+"/EthernetInterfaces", []m{}
	for i := range x.macs {
		if !s.faults[Hidden] {
			members = append(members, link(path+"/"+strconv.Itoa(i)))
		}
	}
	answer(w, http.StatusOK, m{"@odata.id": path, "Name": "Interfaces", "Members": members, "Members@odata.count": len(members)})
}

func (s *Simulator) nic(w http.ResponseWriter, r *http.Request) {
	x, free := s.at(w, r)
	if x == nil {
		return
	}
	defer free()
	n, err := strconv.Atoi(r.PathValue("nic"))
	if err != nil || n < 0 || n >= len(x.macs) {
		refuse(w, http.StatusNotFound, "ResourceMissingAtURI", "The resource was not found.")
		return
	}
	answer(w, http.StatusOK, m{"@odata.id": r.URL.Path, "Id": strconv.Itoa(n), "Name": "Interface", "MACAddress": x.macs[n], "PermanentMACAddress": x.macs[n]})
}

func answer(w http.ResponseWriter, status int, body m) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller went away
}

// refuse is an error as DSP0266 section 8.6 has it.
func refuse(w http.ResponseWriter, status int, id, message string) {
	answer(w, status, m{"error": m{"code": "Base.1.18.GeneralError", "message": "A general error has occurred. See ExtendedInfo.",
		"@Message.ExtendedInfo": []m{{"MessageId": "Base.1.18." + id, "Message": message}}}})
}
