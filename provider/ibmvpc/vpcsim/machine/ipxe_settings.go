package machine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// settings are iPXE's variables: names as in scripts, those of a scope with the
// scope in front ("net0/mac", "smbios/uuid").
type settings map[string]string

var errExpand = errors.New("settings expand without end")

// newSettings are the settings a machine has once it is configured, which IBM's
// iPXE image does before it looks at the user data.
func newSettings(spec vpcsim.Spec, uuid string) settings {
	s := settings{
		"buildarch": "x86_64",
		"platform":  "efi",
		"version":   "1.21.1",

		"smbios/uuid":         uuid,
		"smbios/serial":       spec.ServerID,
		"smbios/manufacturer": "Slipway simulator",
		"smbios/product":      spec.Profile,
		"smbios/asset":        spec.Name,
	}
	for i, nic := range interfaces(spec) {
		s[fmt.Sprintf("net%d/mac", i)] = nic.MAC
	}
	s.configure(spec, 0)
	return s
}

// interfaces are the network interfaces of a machine, at least the primary one.
func interfaces(spec vpcsim.Spec) []vpcsim.Interface {
	if len(spec.Interfaces) > 0 {
		return spec.Interfaces
	}
	return []vpcsim.Interface{{Name: "primary", MAC: spec.MAC, IP: spec.IP}}
}

// configure does what DHCP does to interface n: it reports false when there is
// no such interface or nobody answers there.
func (s settings) configure(spec vpcsim.Spec, n int) bool {
	nics := interfaces(spec)
	if n < 0 || n >= len(nics) || nics[n].IP == "" {
		return false
	}
	scope := fmt.Sprintf("net%d/", n)
	s[scope+"ip"] = nics[n].IP
	if nics[n].Gateway != "" {
		s[scope+"gateway"] = nics[n].Gateway
	}
	if prefix, err := netip.ParsePrefix(nics[n].CIDR); err == nil {
		s[scope+"netmask"] = net.IP(net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())).String()
	}
	if len(spec.DNSServers) > 0 {
		s[scope+"dns"] = spec.DNSServers[0]
	}
	if spec.Name != "" {
		s[scope+"hostname"] = spec.Name
	}
	return true
}

// lookup finds a setting. A name without scope is looked for in all of them.
func (s settings) lookup(name string) (string, bool) {
	scope, rest, scoped := strings.Cut(name, "/")
	if !scoped {
		for _, prefix := range []string{"", "net0/", "smbios/"} {
			if v, ok := s[prefix+name]; ok {
				return v, true
			}
		}
		return "", false
	}
	scope = strings.TrimSuffix(scope, ".dhcp")
	if scope == "netX" { // the interface last opened; we open the first
		scope = "net0"
	}
	v, ok := s[scope+"/"+rest]
	return v, ok
}

// expand replaces ${name} and ${name:type} from the inside out, as iPXE's
// expand_settings: the last "${" before the first "}" goes first.
func (s settings) expand(text string) (string, error) {
	for range maxExpansions {
		start, end := -1, -1
		for i := range len(text) {
			if strings.HasPrefix(text[i:], "${") {
				start = i
			}
			if start >= 0 && text[i] == '}' {
				end = i
				break
			}
		}
		if end < 0 {
			return text, nil
		}
		text = text[:start] + s.value(text[start+2:end]) + text[end+1:]
		if len(text) > maxWord {
			return "", errExpand
		}
	}
	return "", errExpand
}

// value formats one setting; what does not exist is empty.
func (s settings) value(ref string) string {
	name, form, _ := strings.Cut(ref, ":")
	v, ok := s.lookup(name)
	if !ok {
		return ""
	}
	switch form {
	case "uristring":
		return strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	case "hexhyp", "hex", "hexraw":
		raw := []byte(v)
		if mac, err := net.ParseMAC(v); err == nil {
			raw = mac
		}
		return hexBytes(raw, map[string]string{"hexhyp": "-", "hex": ":"}[form])
	default: // string, ipv4, …: our values are text already
		return v
	}
}

// hexBytes writes bytes in hex with sep between them.
func hexBytes(raw []byte, sep string) string {
	parts := make([]string, len(raw))
	for i, b := range raw {
		parts[i] = hex.EncodeToString([]byte{b})
	}
	return strings.Join(parts, sep)
}
