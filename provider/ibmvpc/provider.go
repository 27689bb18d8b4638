package ibmvpc

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Provider orders and watches servers in one VPC. It may be used concurrently.
type Provider struct {
	cfg     Config
	journal deploy.Journal
	auth    core.Authenticator
	// Creates are never repeated by the SDK; everything else may be.
	vpc, vpcCreate *vpcv1.VpcV1
	dns, dnsCreate *dnssvcsv1.DnsSvcsV1
	// dnsTurn serialises calls to the zone: DNS Services soon answers 429
	// otherwise. It is a channel because waiting for it must end with the context.
	dnsTurn chan struct{}
	// orphans are how far servers without a row are on their way to being
	// stopped, by id: a restart only begins to wait again.
	orphans sync.Map
	claims  claims
	seen    seen
}

var (
	_ deploy.Provider    = (*Provider)(nil)
	_ deploy.Releaser    = (*Provider)(nil)
	_ deploy.Reinstaller = (*Provider)(nil)
	_ deploy.Auditor     = (*Provider)(nil)
	_ deploy.Adopter     = (*Provider)(nil)
	_ deploy.Consoler    = (*Provider)(nil)
)

// New makes a provider. It checks the settings, not the account: it calls
// nothing.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	p := &Provider{cfg: cfg, journal: cfg.Journal, dnsTurn: make(chan struct{}, 1)}
	var err error
	if p.auth, err = authenticator(cfg); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	if p.vpc, err = p.newVPC(); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	if p.vpcCreate, err = p.newVPC(); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	p.vpc.EnableRetries(cfg.ReadRetries, cfg.RetryWait)
	if p.dns, err = p.newDNS(); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	if p.dnsCreate, err = p.newDNS(); err != nil {
		return nil, fmt.Errorf("ibm_vpc settings: %w", err)
	}
	p.dns.EnableRetries(cfg.ReadRetries, cfg.RetryWait)
	return p, nil
}

func (p *Provider) newVPC() (*vpcv1.VpcV1, error) {
	base := p.cfg.VPCURL
	if base == "" {
		base = "https://" + p.cfg.Region + ".iaas.cloud.ibm.com"
	}
	options := &vpcv1.VpcV1Options{URL: versioned(base), Authenticator: p.auth}
	if p.cfg.APIVersion != "" {
		options.Version = &p.cfg.APIVersion
	}
	client, err := vpcv1.NewVpcV1(options)
	if err != nil {
		return nil, err
	}
	client.Service.SetHTTPClient(p.httpClient())
	return client, nil
}

func (p *Provider) newDNS() (*dnssvcsv1.DnsSvcsV1, error) {
	options := &dnssvcsv1.DnsSvcsV1Options{Authenticator: p.auth}
	if p.cfg.DNSURL != "" {
		options.URL = versioned(p.cfg.DNSURL)
	}
	client, err := dnssvcsv1.NewDnsSvcsV1(options)
	if err != nil {
		return nil, err
	}
	client.Service.SetHTTPClient(p.httpClient())
	return client, nil
}

func (p *Provider) httpClient() *http.Client {
	client := core.DefaultHTTPClient()
	client.Timeout = 0 // every call has a deadline of its own
	if p.cfg.Transport != nil {
		client.Transport = p.cfg.Transport
	}
	return client
}

func authenticator(c Config) (core.Authenticator, error) {
	switch c.Auth {
	case AuthAPIKey:
		return core.NewIamAuthenticatorBuilder().SetApiKey(string(c.APIKey)).SetURL(c.IAMURL).Build()
	case AuthTrustedProfile:
		b := core.NewContainerAuthenticatorBuilder().SetIAMProfileID(c.TrustedProfile).SetURL(c.IAMURL)
		if c.ComputeTokenFile != "" {
			b.SetCRTokenFilename(c.ComputeTokenFile)
		}
		return b.Build()
	case AuthInstance:
		b := core.NewVpcInstanceAuthenticatorBuilder().SetURL(c.MetadataURL)
		if c.TrustedProfile != "" {
			b.SetIAMProfileID(c.TrustedProfile)
		}
		return b.Build()
	default:
		return core.NewNoAuthAuthenticator()
	}
}

// HasNames reports whether a DNS zone is set.
func (p *Provider) HasNames() bool { return p.cfg.DNSZone != "" }

// reading bounds a call that is no create, its retries included.
func (p *Provider) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.cfg.ReadTimeout)
}

// creating bounds a create.
func (p *Provider) creating(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.cfg.CreateTimeout)
}

// authenticate gets a token before a call, so that a failure to get one is
// told apart from a failure of the call: without a token nothing was asked.
func (p *Provider) authenticate(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	probe, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return err
	}
	if err := p.auth.Authenticate(probe); err != nil {
		return authFailure(err)
	}
	return nil
}

// value is what a pointer of the SDK points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// now is the present in the precision that is stored.
func (p *Provider) now() time.Time { return p.cfg.Now().UTC().Truncate(time.Microsecond) }
