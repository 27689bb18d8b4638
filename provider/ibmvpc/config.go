package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Auth is the way to get at IBM's APIs.
type Auth string

// The ways. All but AuthNone end in an IAM token that the SDK keeps fresh.
const (
	// AuthAPIKey exchanges an API key.
	AuthAPIKey Auth = "apikey"
	// AuthTrustedProfile exchanges a compute resource token from a file, as
	// Kubernetes on IBM Cloud mounts it.
	AuthTrustedProfile Auth = "trusted_profile"
	// AuthInstance takes the identity of the virtual server that Slipway runs
	// on, from the instance metadata service.
	AuthInstance Auth = "instance"
	// AuthNone sends no token: for the simulator.
	AuthNone Auth = "none"
)

// Secret is a text that shows nowhere.
type Secret string

const hidden = "(hidden)"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// LogValue hides the secret from log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Guests says when nodes get addresses for the hypervisor (AHV) and the
// controller VM (CVM).
type Guests string

// The rules.
const (
	GuestsAuto Guests = "auto" // one for which a range is set, or which the order names; both for a member of a cluster
	GuestsOn   Guests = "on"   // both, always
	GuestsOff  Guests = "off"  // neither; an order that names one is refused
)

// Config are the settings of the provider.
type Config struct {
	// Region, for instance "us-south"; required.
	Region string
	// Zone is where servers go when the order names none; empty: the
	// management subnet's.
	Zone string
	// VPCURL and DNSURL are the services, with or without /v1; empty: IBM's
	// public endpoints. IAMURL and the metadata service's URL are for AuthAPIKey
	// and AuthTrustedProfile, and for AuthInstance; empty: IBM's.
	VPCURL, DNSURL, IAMURL, MetadataURL string
	// Auth is required, and what goes with it:
	Auth             Auth
	APIKey           Secret // AuthAPIKey
	TrustedProfile   string // id of the profile; AuthTrustedProfile, optional with AuthInstance
	ComputeTokenFile string // AuthTrustedProfile; empty: the SDK's default paths

	// VPC is the name or id of the virtual private cloud; required.
	VPC string
	// ManagementSubnet and WorkloadSubnets (names or ids) are for orders that
	// name none.
	ManagementSubnet string
	WorkloadSubnets  []string
	// ManagementRange, AHVRange and CVMRange are where addresses are chosen that
	// an order does not name, for instance "10.0.0.20-10.0.0.60". Several, with
	// commas between them, serve several subnets: those inside the order's
	// management subnet are used. Empty: any address.
	ManagementRange, AHVRange, CVMRange string
	// GuestAddresses says whether a node gets addresses for AHV and CVM;
	// GuestsAuto if empty.
	GuestAddresses Guests
	// ResourceGroup is the id of the resource group; empty: the account's default.
	ResourceGroup string
	// SecurityGroups of every interface (names or ids, at most 5); empty: the VPC's default one.
	SecurityGroups []string
	// SSHKeys (names or ids) are given to the server's initialization. An iPXE
	// boot ignores them; none is fine.
	SSHKeys []string
	// DNSInstance is the id of the DNS Services instance and DNSZone the name or
	// id of its zone; both empty: no names are registered.
	DNSInstance, DNSZone string
	// Prefix begins every name that this Slipway makes in the account; "slw-" if
	// empty. Two Slipways in one region must not share it.
	Prefix string

	// ServerQuota is how many bare metal servers the account may have; 25 if
	// zero, IBM's default; negative: not known, and never checked.
	ServerQuota int
	// BootURL is the base URL that machines boot from, and SSHPort the port that
	// Slipway logs in to them by: Plan tells whether the security groups let that
	// traffic through. An empty URL cannot be judged; 22 if the port is zero.
	BootURL string
	SSHPort int
	// Resolve gives the addresses of BootURL's host; nil: the machine's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Holder names the node, other than the given one, that has an address of
	// Slipway's own accord; empty if none has. Such an address is not chosen.
	// Nil: nobody is asked.
	Holder func(ctx context.Context, nodeID int64, address string) (string, error)

	// APIVersion is the date of the VPC API's behaviour, YYYY-MM-DD; empty: the SDK's.
	APIVersion string
	// CreateTimeout bounds a create, ReadTimeout any other call with its
	// retries; 60 s and 45 s if zero.
	CreateTimeout, ReadTimeout time.Duration
	// ReadRetries and RetryWait are how often, and how far apart at most, a call
	// that is no create is tried again; 3 and 5 s if zero.
	ReadRetries int
	RetryWait   time.Duration
	// DoubtWindow is for how long a lost create is looked for before it is
	// posted again; 60 s if zero.
	DoubtWindow time.Duration

	// Journal records what is made; required.
	Journal deploy.Journal
	// Now is the clock; nil: the machine's.
	Now func() time.Time
	// Transport carries the calls to VPC and DNS Services; nil: the SDK's.
	Transport http.RoundTripper
}

// defaultPrefix begins names when the settings name no prefix.
const defaultPrefix = "slw-"

// defaultServerQuota is how many bare metal servers IBM lets an account have
// unless it asks for more (IBM Cloud docs, "Quotas and service limits for VPC").
const defaultServerQuota = 25

var prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,11}$`)

func (c Config) withDefaults() Config {
	setDefault(&c.Prefix, defaultPrefix)
	setDefault(&c.CreateTimeout, time.Minute)
	setDefault(&c.ReadTimeout, 45*time.Second)
	setDefault(&c.ReadRetries, 3)
	setDefault(&c.RetryWait, 5*time.Second)
	setDefault(&c.DoubtWindow, time.Minute)
	setDefault(&c.GuestAddresses, GuestsAuto)
	setDefault(&c.ServerQuota, defaultServerQuota)
	setDefault(&c.SSHPort, 22)
	if c.Resolve == nil {
		c.Resolve = resolveHost
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T comparable](value *T, def T) {
	var zero T
	if *value == zero {
		*value = def
	}
}

// check tells every bad setting at once.
func (c Config) check() error {
	var bad []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Errorf(format, args...))
		}
	}
	need(c.Region != "", "the region is required")
	need(c.VPC != "", "the VPC is required (name or id)")
	need(c.Journal != nil, "a journal is required")
	need(prefixPattern.MatchString(c.Prefix) && !strings.HasPrefix(c.Prefix, "ibm-"),
		"the name prefix %q must be 1 to 12 lower-case letters, digits or hyphens, begin with a letter and not with ibm-", c.Prefix)
	need((c.DNSInstance == "") == (c.DNSZone == ""), "the DNS instance and the DNS zone go together")
	need(len(c.SecurityGroups) <= 5, "an interface has at most 5 security groups, %d are set", len(c.SecurityGroups))
	need(len(c.WorkloadSubnets) <= 7, "a server has at most 7 workload subnets, %d are set", len(c.WorkloadSubnets))
	for name, text := range map[string]string{"VPC": c.VPCURL, "DNS": c.DNSURL, "IAM": c.IAMURL, "metadata": c.MetadataURL} {
		need(text == "" || validURL(text), "the %s service's URL must be http(s)://host[:port][/v1]", name)
	}
	for name, text := range map[string]string{"management": c.ManagementRange, "AHV": c.AHVRange, "CVM": c.CVMRange} {
		_, err := parseRanges(text)
		need(err == nil, "the %s range %q must be FIRST-LAST, IPv4 addresses, several with commas between them: %w", name, text, err)
	}
	need(slices.Contains([]Guests{GuestsAuto, GuestsOn, GuestsOff}, c.GuestAddresses), "the guest addresses %q must be %s, %s or %s", string(c.GuestAddresses), GuestsAuto, GuestsOn, GuestsOff)
	need(c.BootURL == "" || validURL(c.BootURL), "the base URL %q that machines boot from must be http(s)://host[:port]", c.BootURL)
	need(c.SSHPort > 0 && c.SSHPort < 65536, "the SSH port %d must be 1 to 65535", c.SSHPort)
	if c.APIVersion != "" {
		_, err := time.Parse(time.DateOnly, c.APIVersion)
		need(err == nil, "the API version must be a date YYYY-MM-DD")
	}
	switch c.Auth {
	case AuthAPIKey:
		need(c.APIKey != "", "the API key is required")
	case AuthTrustedProfile:
		need(c.TrustedProfile != "", "the trusted profile's id is required")
	case AuthInstance:
	case AuthNone:
		need(c.VPCURL != "", "without authentication the VPC service's URL is required: IBM Cloud takes no calls without")
	default:
		need(false, "the authentication %q must be %s, %s, %s or %s", string(c.Auth), AuthAPIKey, AuthTrustedProfile, AuthInstance, AuthNone)
	}
	return errors.Join(bad...)
}

func validURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == ""
}

// resolveHost asks the machine's resolver.
func resolveHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
}

// versioned gives a service's URL with /v1 at its end.
func versioned(base string) string {
	base = strings.TrimRight(base, "/")
	if strings.HasSuffix(base, "/v1") {
		return base
	}
	return base + "/v1"
}
