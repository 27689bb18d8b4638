package vpcsim

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Statuses of a bare metal server (BareMetalServer.status). "stopping" is not in the SDK's list; see
// Options.HideStopping.
const (
	statusPending        = "pending"
	statusStarting       = "starting"
	statusRunning        = "running"
	statusRestarting     = "restarting"
	statusStopping       = "stopping"
	statusStopped        = "stopped"
	statusReinitializing = "reinitializing"
	statusDeleting       = "deleting"
	statusFailed         = "failed"
	statusMaintenance    = "maintenance"
)

// Reasons why a server is "failed" (BareMetalServerStatusReason.code).
const (
	ReasonCannotStart               = "cannot_start"
	ReasonCannotStartCapacity       = "cannot_start_capacity"
	ReasonCannotStartCompute        = "cannot_start_compute"
	ReasonCannotStartIPAddress      = "cannot_start_ip_address"
	ReasonCannotStartNetwork        = "cannot_start_network"
	ReasonCannotStartReservation    = "cannot_start_reservation_capacity"
	ReasonCannotStartReservationEnd = "cannot_start_reservation_expired"
	ReasonCannotReinitialize        = "cannot_reinitialize"
	ReasonCannotUpdateFirmware      = "cannot_update_firmware"
)

var reasonMessages = map[string]string{
	ReasonCannotStart:               "The bare metal server cannot start due to an internal error.",
	ReasonCannotStartCapacity:       "The bare metal server cannot start due to insufficient capacity in the zone.",
	ReasonCannotStartCompute:        "The bare metal server cannot start due to a failure of the compute hardware.",
	ReasonCannotStartIPAddress:      "The bare metal server cannot start because an IP address is not available.",
	ReasonCannotStartNetwork:        "The bare metal server cannot start due to a failure of the network.",
	ReasonCannotStartReservation:    "The bare metal server cannot start because the reservation has no capacity.",
	ReasonCannotStartReservationEnd: "The bare metal server cannot start because the reservation has expired.",
	ReasonCannotReinitialize:        "The bare metal server cannot be reinitialized.",
	ReasonCannotUpdateFirmware:      "The firmware of the bare metal server cannot be updated.",
}

// Kinds of firmware updates (BareMetalServerFirmware.update).
const (
	FirmwareNone     = "none"
	FirmwareOptional = "optional"
	FirmwareRequired = "required"
)

// consoleTokenLife is how long a console token is good for (IBM's page on the console: about three minutes).
const consoleTokenLife = 3 * time.Minute

// need refuses an operation in any other status.
func (sv *server) need(statuses ...string) error {
	if slices.Contains(statuses, sv.status) {
		return nil
	}
	return conflict(codeServerStatus,
		"The operation cannot be performed because the server is not in the %s status; its status is %s.",
		strings.ToUpper(strings.Join(statuses, " or ")), sv.status)
}

// begin puts a server into a status on behalf of an API call and drops whatever change was under way.
func (sv *server) begin(operation, status string) {
	sv.operation, sv.status, sv.reasons = operation, status, nil
	sv.generation++
}

// later makes the next change of a server after d, unless another call has begun meanwhile or a fault forbids it.
func (s *Simulator) later(sv *server, d time.Duration, change func()) {
	if s.takeServerFault(FaultStuck, sv) != nil {
		s.log.Info("server stuck by a fault", "server", sv.name, "status", sv.status)
		return
	}
	if slow := s.takeServerFault(FaultSlow, sv); slow != nil {
		d += slow.latency()
	}
	generation := sv.generation
	s.after(d, func() {
		if s.servers[sv.id] == sv && sv.generation == generation {
			change()
			s.log.Info("server", "name", sv.name, "id", sv.id, "status", sv.status)
		}
	})
}

// provision is the way of a new server: pending, starting, running.
func (s *Simulator) provision(sv *server, operation string) {
	sv.begin(operation, statusPending)
	s.later(sv, s.opts.Delays.Provision, func() {
		sv.lifecycle = lifecycleStable
		s.startUp(sv)
	})
}

// startUp is "starting" and then "running"; PCI attachments made while the server was off become usable.
func (s *Simulator) startUp(sv *server) {
	sv.status = statusStarting
	for _, a := range sv.attachments {
		if a.lifecycle == lifecyclePending {
			a.lifecycle = lifecycleStable
		}
	}
	s.later(sv, s.opts.Delays.Start, func() { s.run(sv) })
}

// run ends a start: the server has power, or has failed for the reason that a fault gives.
func (s *Simulator) run(sv *server) {
	if fault := s.takeServerFault(FaultServerFailed, sv); fault != nil {
		s.powerOff(sv)
		sv.status = statusFailed
		sv.reasons = []statusReason{{Code: fault.Reason, Message: reasonMessages[fault.Reason]}}
		return
	}
	sv.status = statusRunning
	switch {
	case s.takeServerFault(FaultNeverBoot, sv) != nil:
		s.log.Info("server does not boot because of a fault", "server", sv.name)
	case sv.image.system.format != FormatIPXE:
		s.log.Info("server runs a stock image, which is not simulated", "server", sv.name, "image", sv.image.name)
	case sv.secureBoot:
		// "the image must support secure boot or the server will fail to boot"; the iPXE image does not.
		s.log.Info("server does not boot because its image does not support secure boot", "server", sv.name)
	default:
		s.powerOn(sv)
	}
}

// powerOn tells the hardware, once the lock is free.
func (s *Simulator) powerOn(sv *server) {
	spec := s.spec(sv)
	sv.powered, sv.imageWritten = true, false
	sv.powerOns++
	s.counts.powerOns++
	s.outbox = append(s.outbox, func(h Hardware) { h.PowerOn(spec) })
}

func (s *Simulator) powerOff(sv *server) {
	if !sv.powered {
		return
	}
	sv.powered = false
	id := sv.id
	s.outbox = append(s.outbox, func(h Hardware) { h.PowerOff(id) })
}

// spec describes the machine as DHCP and the hardware would.
func (s *Simulator) spec(sv *server) Spec {
	spec := Spec{
		ServerID: sv.id, Name: sv.name, Zone: sv.zone, Profile: sv.profile.name, UserData: sv.userData,
		DNSServers: slices.Clone(s.opts.DNSServers), Reinitialized: sv.imageWritten,
	}
	for _, a := range sv.attachments {
		if a.kind != interfacePCI || a.lifecycle == lifecycleDeleting {
			continue
		}
		sn := s.catalogue.subnets[a.vni.subnetID]
		spec.Interfaces = append(spec.Interfaces, Interface{
			Name: a.name, MAC: strings.ToLower(a.vni.mac), IP: a.vni.primary().address.String(), CIDR: sn.prefix.String(),
			Gateway: sn.gateway().String(),
		})
	}
	spec.IP, spec.MAC = spec.Interfaces[0].IP, spec.Interfaces[0].MAC
	for i, d := range sv.disks {
		spec.Disks = append(spec.Disks, Disk{ID: d.id, Name: d.name, SizeGB: d.sizeGB, InterfaceType: d.interfaceType, Boot: i == 0})
	}
	return spec
}

func (c *call) startServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	if err := sv.need(statusStopped); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusStarting)
	c.s.startUp(sv)
	return noContent(), nil
}

func (c *call) stopServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		Type string `json:"type"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.Type == "" {
		return reply{}, requiredField("type")
	}
	if err := oneOf("type", p.Type, "hard", "soft"); err != nil {
		return reply{}, err
	}
	if p.Type == "soft" {
		return c.softStop(sv)
	}
	// A hard stop is the way out of a soft one that no operating system answers, so "stopping" will do as well.
	if err := sv.need(statusRunning, statusStopping); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusStopping)
	c.s.powerOff(sv)
	c.s.later(sv, c.s.opts.Delays.Stop, func() { sv.status = statusStopped })
	return noContent(), nil
}

// softStop asks the operating system, which may not answer: "A soft stop may not complete as it relies on the
// operating system to perform the operation" (SDK comment).
func (c *call) softStop(sv *server) (reply, error) {
	if err := sv.need(statusRunning); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusStopping)
	if c.s.takeServerFault(FaultIgnoreSoftStop, sv) != nil {
		return noContent(), nil
	}
	c.s.later(sv, c.s.opts.Delays.SoftStop, func() {
		c.s.powerOff(sv)
		sv.status = statusStopped
	})
	return noContent(), nil
}

func (c *call) restartServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	if err := sv.need(statusRunning); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusRestarting)
	c.s.powerOff(sv)
	c.s.later(sv, c.s.opts.Delays.Restart, func() { c.s.run(sv) })
	return noContent(), nil
}

func (c *call) deleteServer() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	if sv.status == statusDeleting {
		return reply{status: http.StatusAccepted}, nil
	}
	if err := sv.need(statusStopped, statusFailed, statusMaintenance); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusDeleting)
	sv.lifecycle = lifecycleDeleting
	c.s.later(sv, c.s.opts.Delays.Delete, func() { c.s.dropServer(sv) })
	return reply{status: http.StatusAccepted}, nil
}

// dropServer ends a deletion: interfaces are free again or go with their server, the name may stay taken a while.
func (s *Simulator) dropServer(sv *server) {
	s.forgetServer(sv)
	for _, a := range sv.attachments {
		s.detach(a)
	}
	id, name, taken := sv.id, sv.name, s.opts.Delays.NameRelease
	if slow := s.takeServerFault(FaultSlowName, sv); slow != nil {
		taken += slow.latency()
	}
	if taken > 0 {
		s.takenNames[name] = true
		s.after(taken, func() { delete(s.takenNames, name) })
	}
	s.outbox = append(s.outbox, func(h Hardware) {
		if h, ok := h.(Scrapper); ok {
			if err := h.Scrap(id); err != nil {
				s.log.Error("a deleted server's machine could not be removed", "id", id, "error", err)
			}
		}
	})
}

type initializationAnswer struct {
	Image        reference      `json:"image"`
	Keys         []keyReference `json:"keys"`
	UserAccounts []struct{}     `json:"user_accounts"` // filled for Windows and ESXi only
}

// initializationAnswer does not show user_data; IBM does not either.
func (c *call) initializationAnswer(sv *server) initializationAnswer {
	return initializationAnswer{
		Image:        c.imageReference(sv.image),
		Keys:         render(sv.keys, func(id string) keyReference { return c.keyReference(c.s.keys[id]) }),
		UserAccounts: []struct{}{},
	}
}

func (c *call) getInitialization() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.initializationAnswer(sv)), nil
}

// replaceInitialization rewrites the boot disk and nothing else; the server starts by itself afterwards.
func (c *call) replaceInitialization() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p initializationPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	again := sv.status == statusFailed && slices.ContainsFunc(sv.reasons, func(r statusReason) bool { return r.Code == ReasonCannotReinitialize })
	if !again {
		if err := sv.need(statusStopped); err != nil {
			return reply{}, err
		}
	}
	if err := c.initialize(sv, &p); err != nil {
		return reply{}, err
	}
	sv.begin(c.op.name, statusReinitializing)
	c.s.later(sv, c.s.opts.Delays.Reinitialize, func() {
		sv.imageWritten = true
		c.s.startUp(sv)
	})
	return ok(c.initializationAnswer(sv)), nil
}

// updateFirmware brings a stopped server's firmware up to date and starts it unless asked not to. Which status the
// server shows meanwhile is not documented; here it stays "stopped" and the update is over at once.
func (c *call) updateFirmware() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		AutoStart *bool `json:"auto_start"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&p); err != nil {
			return reply{}, err
		}
	}
	if err := sv.need(statusStopped); err != nil {
		return reply{}, err
	}
	if sv.firmware == FirmwareNone {
		return reply{}, conflict(codeInvalidState, "There is no firmware update for the server.")
	}
	sv.firmware = FirmwareNone
	if isSet(p.AutoStart, true) {
		sv.begin(c.op.name, statusStarting)
		c.s.startUp(sv)
	}
	return noContent(), nil
}

// consoleToken is the one token of a server that is valid, if it is.
type consoleToken struct {
	value   string
	expires time.Time
}

type consoleTokenAnswer struct {
	AccessToken string    `json:"access_token"`
	ConsoleType string    `json:"console_type"`
	CreatedAt   timestamp `json:"created_at"`
	ExpiresAt   timestamp `json:"expires_at"`
	Force       bool      `json:"force"`
	Href        string    `json:"href"`
}

// createConsoleToken gives a token for a console that is not simulated.
func (c *call) createConsoleToken() (reply, error) {
	sv, err := c.serverByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		ConsoleType string `json:"console_type"`
		Force       bool   `json:"force"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.ConsoleType == "" {
		return reply{}, requiredField("console_type")
	}
	if err := oneOf("console_type", p.ConsoleType, "serial", "vnc"); err != nil {
		return reply{}, err
	}
	if err := sv.need(statusStopped, statusStarting, statusRunning); err != nil {
		return reply{}, err
	}
	now := c.s.now()
	expires := time.Time(now).Add(consoleTokenLife)
	sv.console = consoleToken{value: rand.Text(), expires: expires}
	query := url.Values{"access_token": {sv.console.value}, "version": {c.r.URL.Query().Get("version")}, "generation": {"2"}}
	href := strings.Replace(c.serverHref(sv), "http", "ws", 1) + "/console?" + query.Encode()
	return ok(consoleTokenAnswer{
		AccessToken: sv.console.value, ConsoleType: p.ConsoleType, CreatedAt: now, ExpiresAt: timestamp(expires),
		Force: p.Force, Href: href,
	}), nil
}
