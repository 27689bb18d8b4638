package cvm

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// An SSH exec request is one string that the user's shell reads (RFC 4254
// section 6.5), so there are two walls: nothing but these characters is let
// through, and every word stands in single quotes, in which a shell gives no
// character a meaning but the quote itself (POSIX, Shell Command Language 2.2.2).
var (
	allowedWord = regexp.MustCompile(`^[A-Za-z0-9 ._,:=+/@-]+$`)
	clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,74}$`)
	serverName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}\.)*[A-Za-z0-9-]{0,62}[A-Za-z0-9]$|^[A-Za-z0-9]$`)
	tokenForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	uuidForm    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// maxWord is more than any argument of a cluster of a few members has.
const maxWord = 1024

var errWord = errors.New("is too long for an argument, or has a character that is not allowed in one")

// quoteWord gives a word that a shell reads as s.
func quoteWord(s string) (string, error) {
	if len(s) > maxWord || !allowedWord.MatchString(s) {
		return "", fmt.Errorf("%q %w", s, errWord)
	}
	return "'" + s + "'", nil
}

// commandLine joins a command's words; the first is a literal of this package.
func commandLine(name string, args ...string) (string, error) {
	out := []string{name}
	for _, a := range args {
		q, err := quoteWord(a)
		if err != nil {
			return "", err
		}
		out = append(out, q)
	}
	return strings.Join(out, " "), nil
}

// CreateSpec is what `cluster create` is told.
type CreateSpec struct {
	Name             string       // --cluster_name; empty leaves Nutanix's own name
	Members          []netip.Addr // -s, in this order
	RedundancyFactor int          // --redundancy_factor; 0 leaves it out
	VIP              netip.Addr   // --cluster_external_ip; the zero address leaves it out
	DNS              []netip.Addr // --dns_servers
	NTP              []string     // --ntp_servers: names or addresses
	SkipDiscovery    bool         // --skip_discovery: do not search the members by multicast
}

// args gives the words behind `cluster`, in the documented order: options
// first, the action last.
func (s CreateSpec) args() ([]string, error) {
	ips, err := joinAddrs(s.Members)
	if err != nil {
		return nil, err
	}
	if len(s.Members) == 0 {
		return nil, errors.New("a cluster needs members")
	}
	args := []string{"-s", ips}
	if s.RedundancyFactor != 0 {
		if s.RedundancyFactor < 1 || s.RedundancyFactor > 3 {
			return nil, fmt.Errorf("redundancy factor %d: it is 1, 2 or 3", s.RedundancyFactor)
		}
		args = append(args, "--redundancy_factor="+strconv.Itoa(s.RedundancyFactor))
	}
	if s.Name != "" {
		if !clusterName.MatchString(s.Name) {
			return nil, fmt.Errorf("cluster name %q: letters, digits, dots, hyphens and underscores, at most 75, not beginning with a sign", s.Name)
		}
		args = append(args, "--cluster_name="+s.Name)
	}
	if s.VIP.IsValid() {
		vip, err := joinAddrs([]netip.Addr{s.VIP})
		if err != nil {
			return nil, err
		}
		args = append(args, "--cluster_external_ip="+vip)
	}
	if len(s.DNS) > 0 {
		dns, err := joinAddrs(s.DNS)
		if err != nil {
			return nil, err
		}
		args = append(args, "--dns_servers="+dns)
	}
	if len(s.NTP) > 0 {
		for _, n := range s.NTP {
			if !validServer(n) {
				return nil, fmt.Errorf("NTP server %q is neither a name nor an address", n)
			}
		}
		args = append(args, "--ntp_servers="+strings.Join(s.NTP, ","))
	}
	if s.SkipDiscovery {
		args = append(args, "--skip_discovery")
	}
	return append(args, "create"), nil
}

// Command gives the command line as it is sent, for people and for the books.
func (s CreateSpec) Command() (string, error) {
	args, err := s.args()
	if err != nil {
		return "", err
	}
	return commandLine("cluster", args...)
}

func validServer(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Is4()
	}
	return len(s) <= 253 && serverName.MatchString(s)
}

func joinAddrs(addrs []netip.Addr) (string, error) {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		if !a.Is4() {
			return "", fmt.Errorf("%v is no IPv4 address: controller VMs speak IPv4 among themselves", a)
		}
		out[i] = a.String()
	}
	return strings.Join(out, ","), nil
}
