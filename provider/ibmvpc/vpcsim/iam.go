package vpcsim

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"
)

// IAM's token exchange: POST /identity/token, form encoded (IBM Cloud IAM Identity API; the grant type is the one
// that go-sdk-core's IamAuthenticator sends).
const (
	grantTypeAPIKey = "urn:ibm:params:oauth:grant-type:apikey" //nolint:gosec // the grant's public name
	tokenLife       = time.Hour
)

type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Expiration   int64  `json:"expiration"`
	Scope        string `json:"scope"`
}

// tokenError is IAM's own error form, which differs from the VPC API's.
type tokenError struct {
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	s.count("RequestToken")
	trace := newTrace()
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.write(w, trace, http.StatusBadRequest, tokenError{"BXNIM0109E", "The form cannot be read."})
		return
	}
	if r.PostForm.Get("grant_type") != grantTypeAPIKey {
		s.write(w, trace, http.StatusBadRequest, tokenError{"BXNIM0109E", "Property missing or empty: grant_type"})
		return
	}
	key := r.PostForm.Get("apikey")
	if key == "" || len(s.opts.APIKeys) > 0 && !slices.Contains(s.opts.APIKeys, key) {
		s.write(w, trace, http.StatusBadRequest, tokenError{"BXNIM0415E", "Provided API key could not be found."})
		return
	}
	now := s.clock.Now()
	answer := tokenAnswer{
		AccessToken: rand.Text() + rand.Text(), RefreshToken: "not_supported", TokenType: "Bearer",
		ExpiresIn: int64(tokenLife.Seconds()), Expiration: now.Add(tokenLife).Unix(), Scope: "ibm openid",
	}
	s.mu.Lock()
	for token, expires := range s.tokens {
		if !now.Before(expires) {
			delete(s.tokens, token)
		}
	}
	s.tokens[answer.AccessToken] = now.Add(tokenLife)
	s.mu.Unlock()
	s.write(w, trace, http.StatusOK, answer)
}

// authorize demands a live token when the options list API keys.
func (c *call) authorize() error {
	if len(c.s.opts.APIKeys) == 0 {
		return nil
	}
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	expires, known := c.s.tokens[token]
	if !strings.EqualFold(scheme, "Bearer") || !known || !c.s.clock.Now().Before(expires) {
		return &apiError{Status: http.StatusUnauthorized, Code: codeNotAuthorized, Message: "The request is not authorized."}
	}
	return nil
}
