package deploy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func rackSpec(change func(*Spec)) Spec {
	s := Spec{Provider: ProviderRack, MAC: "52-54-00-AB-CD-EF", ManagementIP: "10.0.8.20", Netmask: "255.255.255.0", Gateway: "10.0.8.1"}
	if change != nil {
		change(&s)
	}
	return s
}

func redfish(change func(*Power)) *Power {
	p := &Power{Type: PowerRedfish, URL: "https://10.0.9.20", Username: "slipway", PasswordRef: "lab"}
	if change != nil {
		change(p)
	}
	return p
}

// fields gives the bad fields and their codes.
func fields(s Spec) []string {
	var out []string
	for _, f := range s.Check("") {
		out = append(out, f.Field+" "+string(f.Code))
	}
	slices.Sort(out)
	return out
}

func TestCheckOfARackMachinesNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		want   []string
	}{
		"whole":                       {nil, nil},
		"prefix length":               {func(s *Spec) { s.Netmask = "24" }, nil},
		"nothing: the settings' turn": {func(s *Spec) { s.Netmask, s.Gateway = "", "" }, nil},
		"gateway alone":               {func(s *Spec) { s.Netmask, s.Gateway = "", "10.9.9.9" }, nil},
		"point to point":              {func(s *Spec) { s.Netmask, s.ManagementIP, s.Gateway = "31", "10.0.8.0", "10.0.8.1" }, nil},
		"holes":                       {func(s *Spec) { s.Netmask = "255.0.255.0" }, []string{"netmask invalid"}},
		"no mask":                     {func(s *Spec) { s.Netmask = "0.0.0.0" }, []string{"netmask invalid"}},
		"too long":                    {func(s *Spec) { s.Netmask = "33" }, []string{"netmask invalid"}},
		"signed":                      {func(s *Spec) { s.Netmask = "+24" }, []string{"netmask invalid"}},
		"IPv6 mask":                   {func(s *Spec) { s.Netmask = "ffff::" }, []string{"netmask invalid"}},
		"gateway elsewhere":           {func(s *Spec) { s.Gateway = "10.0.9.1" }, []string{"gateway out_of_range"}},
		"gateway itself":              {func(s *Spec) { s.Gateway = "10.0.8.20" }, []string{"gateway conflict"}},
		"gateway network":             {func(s *Spec) { s.Gateway = "10.0.8.0" }, []string{"gateway invalid"}},
		"gateway broadcast":           {func(s *Spec) { s.Gateway = "10.0.8.255" }, []string{"gateway invalid"}},
		"gateway a word":              {func(s *Spec) { s.Gateway = "router" }, []string{"gateway invalid"}},
		"own address the network":     {func(s *Spec) { s.ManagementIP = "10.0.8.0" }, []string{"management_ip invalid"}},
		"own address the broadcast":   {func(s *Spec) { s.ManagementIP = "10.0.8.255" }, []string{"management_ip invalid"}},
		"own address IPv6":            {func(s *Spec) { s.ManagementIP = "fd00::1" }, []string{"management_ip invalid"}},
		"everything at once":          {func(s *Spec) { s.Netmask, s.Gateway = "x", "y" }, []string{"gateway invalid", "netmask invalid"}},
		"another provider": {func(s *Spec) {
			s.Provider, s.ServerProfile, s.Power = ProviderIBMVPC, "bx2d", redfish(nil)
		}, []string{"gateway invalid", "netmask invalid", "power invalid"}},
	} {
		if got := fields(rackSpec(c.change)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestCheckOfPower(t *testing.T) {
	for name, c := range map[string]struct {
		power *Power
		want  []string
	}{
		"none":             {nil, nil},
		"manual":           {&Power{Type: PowerManual}, nil},
		"manual with more": {&Power{Type: PowerManual, URL: "https://x"}, []string{"power.type invalid"}},
		"no type":          {&Power{URL: "https://x"}, []string{"power.type invalid"}},
		"whole":            {redfish(nil), nil},
		"all settings": {redfish(func(p *Power) {
			p.SystemID, p.CAFile, p.BootFrom, p.BootMode, p.OffAtRelease = "1", "lab.pem", "http", "uefi", true
		}), nil},
		"nothing":               {&Power{Type: PowerRedfish}, []string{"power.password_ref required", "power.url required", "power.username required"}},
		"secret is a path":      {redfish(func(p *Power) { p.PasswordRef = "../shadow" }), []string{"power.password_ref invalid"}},
		"secret is hidden":      {redfish(func(p *Power) { p.PasswordRef = ".env" }), []string{"power.password_ref invalid"}},
		"certificates a path":   {redfish(func(p *Power) { p.CAFile = "/etc/passwd" }), []string{"power.ca_file invalid"}},
		"both kinds of trust":   {redfish(func(p *Power) { p.CAFile, p.InsecureTLS = "a", true }), []string{"power.insecure_tls conflict"}},
		"HTTP boot by BIOS":     {redfish(func(p *Power) { p.BootFrom, p.BootMode = "http", "legacy" }), []string{"power.boot_mode conflict"}},
		"unknown ways":          {redfish(func(p *Power) { p.BootFrom, p.BootMode = "usb", "x" }), []string{"power.boot_from invalid", "power.boot_mode invalid"}},
		"password in the URL":   {redfish(func(p *Power) { p.URL = "https://root:calvin@10.0.9.20" }), []string{"power.url invalid"}},
		"path in the URL":       {redfish(func(p *Power) { p.URL = "https://10.0.9.20/redfish/v1" }), []string{"power.url invalid"}},
		"another scheme":        {redfish(func(p *Power) { p.URL = "file:///etc/passwd" }), []string{"power.url invalid"}},
		"long words everywhere": {redfish(func(p *Power) { p.Username, p.SystemID = strings.Repeat("x", 200), strings.Repeat("y", 200) }), []string{"power.system_id out_of_range", "power.username out_of_range"}},
	} {
		if got := fields(rackSpec(func(s *Spec) { s.Power = c.power })); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestSubnetOfASpec(t *testing.T) {
	known := []Subnet{
		{Prefix: netip.MustParsePrefix("10.0.0.0/16"), Gateway: netip.MustParseAddr("10.0.0.1"), DNSServers: []string{"10.0.0.2"}},
		{Prefix: netip.MustParsePrefix("10.0.8.0/24"), Gateway: netip.MustParseAddr("10.0.8.254")},
	}
	for name, c := range map[string]struct {
		change  func(*Spec)
		prefix  string
		gateway string
		dns     int
	}{
		"the spec's":                     {nil, "10.0.8.0/24", "10.0.8.1", 1},
		"the first known":                {func(s *Spec) { s.Netmask, s.Gateway = "", "" }, "10.0.0.0/16", "10.0.0.1", 1},
		"gateway of the spec":            {func(s *Spec) { s.Netmask, s.Gateway = "", "10.0.8.9" }, "10.0.0.0/16", "10.0.8.9", 1},
		"known gateway out of the mask":  {func(s *Spec) { s.Gateway = "" }, "10.0.8.0/24", "", 1},
		"nowhere":                        {func(s *Spec) { s.ManagementIP, s.Netmask = "192.0.2.9", "" }, "", "", 0},
		"nowhere, but the spec knows it": {func(s *Spec) { s.ManagementIP, s.Gateway = "192.0.2.9", "192.0.2.1" }, "192.0.2.0/24", "192.0.2.1", 0},
		"no address":                     {func(s *Spec) { s.ManagementIP = "" }, "", "", 0},
	} {
		got, ok := rackSpec(c.change).Subnet(known)
		if ok != (c.prefix != "") {
			t.Errorf("%s: %+v, %v", name, got, ok)
			continue
		}
		gateway := ""
		if got.Gateway.IsValid() {
			gateway = got.Gateway.String()
		}
		if ok && (got.Prefix.String() != c.prefix || gateway != c.gateway || len(got.DNSServers) != c.dns) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
