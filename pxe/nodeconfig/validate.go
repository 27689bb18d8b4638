package nodeconfig

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FieldError is one bad field.
type FieldError struct {
	// Path is the field's JSON path, array elements numbered from 0:
	// "artifacts[0].sha256".
	Path string
	// Message says what is wrong, in words for a person.
	Message string
}

// Error implements error.
func (e FieldError) Error() string { return e.Path + ": " + e.Message }

// FieldErrors is every bad field of a document, in the document's order.
type FieldErrors []FieldError

// Error implements error.
func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return "node configuration: " + strings.Join(lines, "; ")
}

// Unwrap gives the single errors to errors.As and errors.Is.
func (e FieldErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, f := range e {
		errs[i] = f
	}
	return errs
}

// The limits of what a served script can handle.
const (
	maxName     = 40    // a node's name
	maxTimeout  = 86400 // seconds an installer may be given
	maxTextSize = 16384 // bytes of any single string
)

var (
	labelRE    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`) // RFC 1123 section 2.1
	fileNameRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	userRE     = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	tokenRE    = regexp.MustCompile(`^[A-Za-z0-9_.~+/=-]+$`) // RFC 6750 section 2.1
	domainRE   = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Validate checks the whole document and returns [FieldErrors] with every bad
// field, or nil. A document that passes is one that the served scripts accept.
func (c Config) Validate() error {
	v := &validator{}
	v.node(c.NodeConfig)
	v.network(c.Network)
	v.storage(c.Storage)
	v.atLeast("resources.cvm_memory_gb", int64(c.Resources.CVMMemoryGB), 0)
	v.atLeast("resources.cvm_vcpus", int64(c.Resources.CVMVCPUs), 0)
	v.cluster(c.Cluster)
	v.artifacts(c.Artifacts)
	v.installer(c.Installer, c.Artifacts)
	v.access(c.Access)
	v.scripts(c.Scripts)
	v.report(c.Report)
	if len(v.errs) == 0 {
		return nil
	}
	return v.errs
}

type validator struct{ errs FieldErrors }

func (v *validator) add(path, format string, args ...any) {
	v.errs = append(v.errs, FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
}

// text checks what holds for any string and says whether it is worth a closer look.
func (v *validator) text(path, s string, required bool) bool {
	switch {
	case s == "" && required:
		v.add(path, "is required")
		return false
	case strings.ContainsRune(s, 0):
		v.add(path, "must not hold a NUL byte")
		return false
	case len(s) > maxTextSize:
		v.add(path, "is longer than %d bytes", maxTextSize)
		return false
	}
	return s != ""
}

func (v *validator) match(path, s string, required bool, re *regexp.Regexp, want string) {
	if v.text(path, s, required) && !re.MatchString(s) {
		v.add(path, "%q is not %s", s, want)
	}
}

func (v *validator) atLeast(path string, n, low int64) {
	if n < low {
		v.add(path, "must be at least %d", low)
	}
}

func (v *validator) within(path string, n, low, high int64) {
	if n < low || n > high {
		v.add(path, "must be between %d and %d", low, high)
	}
}

func (v *validator) ipv4(path, s string, required bool) (netip.Addr, bool) {
	if !v.text(path, s, required) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		v.add(path, "%q is not an IPv4 address", s)
		return netip.Addr{}, false
	}
	return a, true
}

func (v *validator) url(path, s string) {
	if !v.text(path, s, true) {
		return
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
		v.add(path, "is not an absolute http or https URL")
	}
}

func (v *validator) sha256(path, s string) {
	if !v.text(path, s, true) {
		return
	}
	if _, err := hex.DecodeString(s); err != nil || len(s) != 64 || s != strings.ToLower(s) {
		v.add(path, "is not 64 lower-case hexadecimal digits")
	}
}

func (v *validator) node(n Node) {
	v.text("node_config.node_id", n.NodeID, true)
	v.name("node_config.node_name", n.NodeName)
	v.ipv4("node_config.mgmt_ip", n.MgmtIP, true)
	v.ipv4("node_config.ahv_ip", n.AHVIP, false)
	v.ipv4("node_config.cvm_ip", n.CVMIP, false)
}

func (v *validator) name(path, s string) {
	if !v.text(path, s, true) {
		return
	}
	if len(s) > maxName || !labelRE.MatchString(s) || !strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") {
		v.add(path, "%q is not a lower-case RFC 1123 label of at most %d characters with a letter", s, maxName)
	}
}

func (v *validator) network(n Network) {
	addr, okAddr := v.ipv4("network.address", n.Address, true)
	bits, okMask := v.netmask("network.netmask", n.Netmask)
	if gw, ok := v.ipv4("network.gateway", n.Gateway, false); ok && okAddr && okMask {
		switch {
		case gw == addr:
			v.add("network.gateway", "is the node's own address")
		case !netip.PrefixFrom(addr, bits).Contains(gw):
			v.add("network.gateway", "%s is not in the network of %s/%d", gw, addr, bits)
		}
	}
	for i, s := range n.DNSServers {
		v.ipv4(fmt.Sprintf("network.dns_servers[%d]", i), s, true)
	}
	v.match("network.domain", n.Domain, false, domainRE, "a domain name")
	if v.text("network.mac", n.MAC, false) {
		if hw, err := net.ParseMAC(n.MAC); err != nil || len(hw) != 6 {
			v.add("network.mac", "%q is not a MAC address", n.MAC)
		}
	}
	if n.MTU != 0 {
		v.within("network.mtu", int64(n.MTU), 576, 65535) // RFC 791 section 3.1
	}
	seen := map[int]bool{}
	for i, l := range n.VLANs {
		path := fmt.Sprintf("network.vlans[%d]", i)
		v.within(path+".id", int64(l.ID), 1, 4094)
		if seen[l.ID] {
			v.add(path+".id", "VLAN %d is there twice", l.ID)
		}
		seen[l.ID] = true
		if l.Address != "" || l.Netmask != "" {
			v.ipv4(path+".address", l.Address, true)
			v.netmask(path+".netmask", l.Netmask)
		}
	}
}

// netmask accepts both notations and returns the prefix length.
func (v *validator) netmask(path, s string) (int, bool) {
	if !v.text(path, s, true) {
		return 0, false
	}
	if bits, err := strconv.Atoi(s); err == nil {
		if bits >= 1 && bits <= 32 && s == strconv.Itoa(bits) {
			return bits, true
		}
	} else if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		raw := a.As4()
		if bits, size := net.IPMask(raw[:]).Size(); size == 32 && bits >= 1 {
			return bits, true
		}
	}
	v.add(path, "%q is neither a contiguous mask nor a prefix length of 1 to 32", s)
	return 0, false
}

func (v *validator) storage(s Storage) {
	v.disk("storage_config.boot_disk", s.BootDisk)
	if s.BootDisk.Count > 1 {
		v.add("storage_config.boot_disk.count", "a machine boots from one disk")
	}
	for i, d := range s.DataDrives {
		v.disk(fmt.Sprintf("storage_config.data_drives[%d]", i), d)
	}
}

func (v *validator) disk(path string, d Disk) {
	if n := d; n.Count >= 0 {
		n.Count = 0
		if n == (Disk{}) {
			v.add(path, "needs a serial, wwn, model, size or type, or any disk would match")
		}
	}
	v.text(path+".serial", d.Serial, false)
	v.text(path+".wwn", d.WWN, false)
	v.text(path+".model", d.Model, false)
	v.atLeast(path+".size", d.Size, 0)
	v.atLeast(path+".min_size", d.MinSize, 0)
	v.atLeast(path+".max_size", d.MaxSize, 0)
	if d.MaxSize > 0 && d.MinSize > d.MaxSize {
		v.add(path+".max_size", "is less than min_size")
	}
	if !slices.Contains([]DiskType{"", DiskNVMe, DiskSSD, DiskHDD}, d.Type) {
		v.add(path+".type", "%q is none of nvme, ssd, hdd", string(d.Type))
	}
	v.within(path+".count", int64(d.Count), 0, 1024)
	if d.Count > 1 && (d.Serial != "" || d.WWN != "") {
		v.add(path+".count", "a serial or wwn names a single disk")
	}
}

func (v *validator) cluster(c Cluster) {
	v.text("cluster.name", c.Name, false)
	v.text("cluster.type", c.Type, false)
	v.text("cluster.operation", c.Operation, false)
	v.ipv4("cluster.vip", c.VIP, false)
	v.atLeast("cluster.redundancy_factor", int64(c.RedundancyFactor), 0)
	for i, n := range c.Nodes {
		path := fmt.Sprintf("cluster.nodes[%d]", i)
		v.name(path+".node_name", n.NodeName)
		v.ipv4(path+".mgmt_ip", n.MgmtIP, true)
		v.ipv4(path+".cvm_ip", n.CVMIP, false)
	}
}

func (v *validator) artifacts(list []Artifact) {
	seen := map[string]bool{}
	for i, a := range list {
		path := fmt.Sprintf("artifacts[%d]", i)
		v.match(path+".name", a.Name, true, fileNameRE, "a plain file name")
		if a.Name != "" && seen[a.Name] {
			v.add(path+".name", "%q is there twice", a.Name)
		}
		seen[a.Name] = true
		v.url(path+".url", a.URL)
		v.sha256(path+".sha256", a.SHA256)
		v.atLeast(path+".size", a.Size, 0)
	}
}

func (v *validator) installer(in Installer, list []Artifact) {
	named := func(a Artifact) bool { return a.Name == in.Artifact }
	if v.text("installer.artifact", in.Artifact, true) && !slices.ContainsFunc(list, named) {
		v.add("installer.artifact", "%q is not among the artifacts", in.Artifact)
	}
	for i, a := range in.Args {
		v.text(fmt.Sprintf("installer.args[%d]", i), a, false)
	}
	v.within("installer.timeout", int64(in.Timeout), 0, maxTimeout)
}

func (v *validator) access(a Access) {
	v.match("access.user", a.User, true, userRE, "a user name")
	if len(a.AuthorizedKeys) == 0 {
		v.add("access.authorized_keys", "is required")
	}
	for i, k := range a.AuthorizedKeys {
		path := fmt.Sprintf("access.authorized_keys[%d]", i)
		if v.text(path, k, true) && (strings.ContainsAny(k, "\r\n") || len(strings.Fields(k)) < 2) {
			v.add(path, "is not one line of an OpenSSH public key")
		}
	}
	v.within("access.ssh_port", int64(a.SSHPort), 1, 65535)
}

func (v *validator) scripts(m map[string]Script) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := "scripts." + name
		v.match(path, name, true, fileNameRE, "a plain file name")
		v.url(path+".url", m[name].URL)
		v.sha256(path+".sha256", m[name].SHA256)
	}
}

func (v *validator) report(r Report) {
	v.url("report.url", r.URL)
	if v.text("report.token", r.Token, true) && !tokenRE.MatchString(r.Token) {
		v.add("report.token", "is not a bearer token") // a secret is never quoted
	}
	v.within("report.heartbeat", int64(r.Heartbeat), 0, 3600)
}
