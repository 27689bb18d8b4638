package ibmvpc_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const apiKey = "an-api-key-that-must-show-nowhere"

func TestNewChecksSettings(t *testing.T) {
	good := ibmvpc.Config{Region: "us-south", VPC: "v", Auth: ibmvpc.AuthAPIKey, APIKey: apiKey, Journal: &conformance.Journal{}}
	for name, c := range map[string]struct {
		change func(*ibmvpc.Config)
		says   string
	}{
		"good":                   {func(*ibmvpc.Config) {}, ""},
		"trusted profile":        {func(c *ibmvpc.Config) { c.Auth, c.TrustedProfile = ibmvpc.AuthTrustedProfile, "Profile-1" }, ""},
		"instance identity":      {func(c *ibmvpc.Config) { c.Auth = ibmvpc.AuthInstance }, ""},
		"no region":              {func(c *ibmvpc.Config) { c.Region = "" }, "region"},
		"no VPC":                 {func(c *ibmvpc.Config) { c.VPC = "" }, "VPC"},
		"no journal":             {func(c *ibmvpc.Config) { c.Journal = nil }, "journal"},
		"no API key":             {func(c *ibmvpc.Config) { c.APIKey = "" }, "API key"},
		"no profile":             {func(c *ibmvpc.Config) { c.Auth = ibmvpc.AuthTrustedProfile }, "trusted profile"},
		"no way in":              {func(c *ibmvpc.Config) { c.Auth = "" }, "apikey, trusted_profile, instance or none"},
		"none against IBM":       {func(c *ibmvpc.Config) { c.Auth = ibmvpc.AuthNone }, "URL is required"},
		"bad URL":                {func(c *ibmvpc.Config) { c.VPCURL = "us-south.iaas.cloud.ibm.com" }, "VPC service's URL"},
		"password in URL":        {func(c *ibmvpc.Config) { c.IAMURL = "https://u:p@iam.example" }, "IAM service's URL"},
		"zone without instance":  {func(c *ibmvpc.Config) { c.DNSZone = "z.example" }, "go together"},
		"prefix that IBM keeps":  {func(c *ibmvpc.Config) { c.Prefix = "ibm-x" }, "prefix"},
		"prefix that is no name": {func(c *ibmvpc.Config) { c.Prefix = "9_" }, "prefix"},
		"six security groups":    {func(c *ibmvpc.Config) { c.SecurityGroups = make([]string, 6) }, "security groups"},
		"eight workload subnets": {func(c *ibmvpc.Config) { c.WorkloadSubnets = make([]string, 8) }, "workload subnets"},
		"ranges": {func(c *ibmvpc.Config) {
			c.ManagementRange, c.AHVRange, c.CVMRange = "10.0.0.4-10.0.0.9", "10.0.0.10", " 10.0.0.11-10.0.0.12, 10.1.0.11-10.1.0.12 "
		}, ""},
		"range that is none":          {func(c *ibmvpc.Config) { c.AHVRange = "10.0.0.0/24" }, "AHV range"},
		"range that runs backwards":   {func(c *ibmvpc.Config) { c.CVMRange = "10.0.0.9-10.0.0.4" }, "CVM range"},
		"range of IPv6":               {func(c *ibmvpc.Config) { c.ManagementRange = "fd00::1-fd00::2" }, "management range"},
		"guests of another kind":      {func(c *ibmvpc.Config) { c.GuestAddresses = "some" }, "auto, on or off"},
		"base URL that is none":       {func(c *ibmvpc.Config) { c.BootURL = "slipway:8080" }, "base URL"},
		"SSH port that is none":       {func(c *ibmvpc.Config) { c.SSHPort = 70000 }, "SSH port"},
		"API version that is no date": {func(c *ibmvpc.Config) { c.APIVersion = "latest" }, "YYYY-MM-DD"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			_, err := ibmvpc.New(config)
			if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), apiKey)) {
				t.Fatalf("%v; want %q", err, c.says)
			}
		})
	}
	_, err := ibmvpc.New(ibmvpc.Config{})
	for _, says := range []string{"region", "VPC", "journal", "authentication"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("all bad settings are told at once, %s is not: %v", says, err)
		}
	}
}

func TestSecretShowsNowhere(t *testing.T) {
	config := ibmvpc.Config{APIKey: apiKey}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", config.APIKey, "config", config)
	text, err := json.Marshal(map[string]any{"key": config.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), fmt.Sprintf("%s %q", config.APIKey, config.APIKey), log.String(), string(text)} {
		if strings.Contains(shown, apiKey) {
			t.Errorf("the API key shows in %s", shown)
		}
	}
}

func TestAPIKey(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) { o.APIKeys = []string{apiKey} })
	withKey := func(key ibmvpc.Secret) func(*ibmvpc.Config) {
		return func(c *ibmvpc.Config) { c.Auth, c.APIKey = ibmvpc.AuthAPIKey, key }
	}
	j := &conformance.Journal{}
	const wrong = "a-wrong-key-that-must-show-nowhere"
	_, err := c.provider(t, j, withKey(wrong)).Order(t.Context(), order())
	e := final(t, err, deploy.CodeUnauthenticated)
	if !strings.Contains(e.Message, "IAM") || strings.Contains(fmt.Sprintf("%#v", e), wrong) {
		t.Errorf("%#v", e)
	}
	machine := persist(t, c, c.provider(t, j, withKey(apiKey)), order())
	if c.State().ServersCreated != 1 || machine.ServerID == "" {
		t.Error("the right key orders nothing")
	}
}

// Without a token nothing was asked, so nothing is in doubt, though the same
// failure of a create would leave it so.
func TestTokenFailureLeavesNoDoubt(t *testing.T) {
	c := newCloud(t)
	j := &conformance.Journal{}
	iam := &lostIAM{}
	p := c.provider(t, j, func(config *ibmvpc.Config) {
		config.Auth, config.APIKey, config.IAMURL = ibmvpc.AuthAPIKey, apiKey, iam.start(t)
	})
	_, err := p.Order(t.Context(), order())
	if e := temporary(t, err, deploy.CodeUpstreamUnavailable); strings.Contains(fmt.Sprintf("%#v", e), apiKey) {
		t.Errorf("%#v", e)
	}
	for _, r := range j.Rows() {
		t.Errorf("row %+v though nothing could be asked", r)
	}
}

func TestNothingListens(t *testing.T) {
	c := newCloud(t)
	j := &conformance.Journal{}
	refuse := false
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if refuse && r.Method == http.MethodPost {
			return nil, dialRefused(r.Context())
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	p := c.provider(t, j)
	refuse = true
	_, err := p.Order(t.Context(), order())
	temporary(t, err, deploy.CodeUpstreamUnavailable)
	for _, r := range j.Rows() {
		if r.State != deploy.ResourceIntent {
			t.Errorf("row %+v is in doubt though the connection was refused", r)
		}
	}
	refuse = false
	persist(t, c, p, order())
	if n := c.State().Calls["CreateBareMetalServer"]; n != 1 {
		t.Errorf("%d creates", n)
	}
}
