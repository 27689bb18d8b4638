package server_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// An event stream ends with the credential that opened it; coming back with it
// is refused.
func TestAStreamEndsWithItsCredential(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	secret, token, err := r.access.CreateToken(t.Context(), access.NewToken{Name: "gone soon", Role: access.RoleViewer})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.web.URL+"/api/status/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := r.web.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for in.Scan() && !strings.Contains(in.Text(), "caught_up") {
	}
	require.NoError(t, r.access.RevokeToken(t.Context(), token.ID))
	for in.Scan() { // to the end, which would not come
	}
	require.NoError(t, in.Err())
	require.Equal(t, http.StatusUnauthorized, r.call(http.MethodGet, "/api/status/events", secret, "").status)
}
