package ibmvpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/IBM/go-sdk-core/v5/core"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const (
	computeToken  = "a-compute-resource-token-that-must-show-nowhere"
	identityToken = "an-instance-identity-token-that-must-show-nowhere"
	profileID     = "Profile-6c6a1b0e"
)

// identities is IAM's exchange of compute resource tokens and the instance
// metadata service, in front of the simulated IAM, which knows API keys only:
// what they give is a token that the simulated cloud takes.
// (IBM Cloud docs, "Creating an IAM access token for a compute resource" and
// "Instance metadata service".)
type identities struct {
	*httptest.Server
	cloud *cloud
	mu    sync.Mutex
	deny  bool
	bad   []string // what was asked in a wrong way
	gave  []string // tokens
}

func newIdentities(t *testing.T, c *cloud) *identities {
	t.Helper()
	i := &identities{cloud: c}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /identity/token", i.exchange)
	mux.HandleFunc("PUT /instance_identity/v1/token", i.identity)
	mux.HandleFunc("POST /instance_identity/v1/iam_token", i.iamToken)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *identities) expect(ok bool, what string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !ok {
		i.bad = append(i.bad, what)
	}
}

func (i *identities) refuse(w http.ResponseWriter) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.deny {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errorCode":"BXNIM0513E","errorMessage":"The profile does not trust this compute resource."}`)
	}
	return i.deny
}

// token is a real one of the simulated IAM.
func (i *identities) token() string {
	response, err := http.PostForm(i.cloud.url+"/identity/token", url.Values{"grant_type": {"urn:ibm:params:oauth:grant-type:apikey"}, "apikey": {apiKey}})
	i.expect(err == nil, "the simulated IAM does not answer")
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	i.expect(json.NewDecoder(response.Body).Decode(&answer) == nil && answer.AccessToken != "", "the simulated IAM gives no token")
	i.mu.Lock()
	i.gave = append(i.gave, answer.AccessToken)
	i.mu.Unlock()
	return answer.AccessToken
}

func (i *identities) exchange(w http.ResponseWriter, r *http.Request) {
	if i.refuse(w) {
		return
	}
	i.expect(r.FormValue("grant_type") == "urn:ibm:params:oauth:grant-type:cr-token", "grant_type "+r.FormValue("grant_type"))
	i.expect(r.FormValue("cr_token") == computeToken, "cr_token")
	i.expect(r.FormValue("profile_id") == profileID, "profile_id")
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"refresh_token":"none","token_type":"Bearer","expires_in":3600,"expiration":%d}`, i.token(), int64(4102444800))
}

func (i *identities) identity(w http.ResponseWriter, r *http.Request) {
	if i.refuse(w) {
		return
	}
	i.expect(r.Header.Get("Metadata-Flavor") == "ibm", "Metadata-Flavor "+r.Header.Get("Metadata-Flavor"))
	i.expect(r.URL.Query().Get("version") != "", "no version")
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"created_at":"2026-11-20T12:00:00Z","expires_at":"2099-11-20T12:05:00Z","expires_in":300}`, identityToken)
}

func (i *identities) iamToken(w http.ResponseWriter, r *http.Request) {
	i.expect(r.Header.Get("Authorization") == "Bearer "+identityToken, "Authorization")
	var body struct {
		Profile struct{ ID string } `json:"trusted_profile"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body) // may be empty
	i.expect(body.Profile.ID == profileID, "trusted profile "+body.Profile.ID)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"created_at":"2026-11-20T12:00:00Z","expires_at":"2099-11-20T12:05:00Z","expires_in":3600}`, i.token())
}

// waysIn are the ways to authenticate, but for none.
func waysIn(t *testing.T, i *identities, iam string) map[string]func(*ibmvpc.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(computeToken), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]func(*ibmvpc.Config){
		"API key": func(c *ibmvpc.Config) { c.Auth, c.APIKey, c.IAMURL = ibmvpc.AuthAPIKey, apiKey, iam },
		"trusted profile": func(c *ibmvpc.Config) {
			c.Auth, c.TrustedProfile, c.ComputeTokenFile, c.IAMURL = ibmvpc.AuthTrustedProfile, profileID, file, i.URL
		},
		"instance identity": func(c *ibmvpc.Config) {
			c.Auth, c.TrustedProfile, c.MetadataURL = ibmvpc.AuthInstance, profileID, i.URL
		},
	}
}

// captured is everything that anybody logs in the meantime.
func captured(t *testing.T) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	var mu sync.Mutex
	w := writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(b)
	})
	before, sdk := slog.Default(), core.GetLogger()
	slog.SetDefault(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	logger := log.New(w, "", 0)
	core.SetLogger(core.NewLogger(core.LevelInfo, logger, logger))
	t.Cleanup(func() {
		slog.SetDefault(before)
		core.SetLogger(sdk)
	})
	return &text
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// Each way in orders a whole server from a cloud that demands a token, and what
// it is let in by shows in no log, error, journal row or note.
func TestWaysIn(t *testing.T) {
	for _, name := range []string{"API key", "trusted profile", "instance identity"} {
		t.Run(name, func(t *testing.T) {
			logged := captured(t)
			c := newCloud(t, func(o *vpcsim.Options) { o.APIKeys = []string{apiKey} })
			i := newIdentities(t, c)
			j := &conformance.Journal{}
			var notes []string
			c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
				if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
					t.Errorf("%s %s without a token", r.Method, r.URL.Path)
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			p := c.provider(t, j, waysIn(t, i, c.url)[name])
			checks, err := p.Plan(t.Context(), order())
			if err != nil || len(open(checks)) > 1 { // no base URL is set
				t.Errorf("%v, %v", open(checks), err)
			}
			persist(t, c, p, order(func(o *deploy.Order) {
				o.Note = func(_ context.Context, message string) { notes = append(notes, message) }
			}))
			if c.State().ServersCreated != 1 || len(i.bad) > 0 {
				t.Errorf("%d servers; asked wrongly: %v", c.State().ServersCreated, i.bad)
			}
			hides(t, i, fmt.Sprintf("%s %+v %q %+v", logged, j.Rows(), notes, checks))
		})
	}
}

// Without a way in nothing is asked and nothing is in doubt; the plan is one
// failed check, and the rest waits for it.
func TestWaysInThatAreShut(t *testing.T) {
	for _, name := range []string{"API key", "trusted profile", "instance identity"} {
		t.Run(name, func(t *testing.T) {
			logged := captured(t)
			c := newCloud(t, func(o *vpcsim.Options) { o.APIKeys = []string{"another"} })
			i := newIdentities(t, c)
			i.deny = true
			j := &conformance.Journal{}
			p := c.provider(t, j, waysIn(t, i, c.url)[name])
			_, err := p.Order(t.Context(), order())
			e := final(t, err, deploy.CodeUnauthenticated)
			checks := planned(t, p)
			if got := open(checks); got[0] != "permissions error" || len(got) != 14 {
				t.Errorf("open %v", got)
			}
			_, offered := p.Offer(t.Context())
			final(t, offered, deploy.CodeUnauthenticated)
			if len(j.Rows()) > 0 || c.State().ServersCreated > 0 {
				t.Errorf("rows %+v", j.Rows())
			}
			hides(t, i, fmt.Sprintf("%s %#v %v %+v %#v", logged, e, err, checks, offered))
		})
	}
}

func hides(t *testing.T, i *identities, shown string) {
	t.Helper()
	for _, secret := range append([]string{apiKey, computeToken, identityToken}, i.gave...) {
		if strings.Contains(shown, secret) {
			t.Errorf("%s shows in %s", secret, shown)
		}
	}
}
