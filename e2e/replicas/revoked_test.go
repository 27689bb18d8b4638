package replicas_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// TestRevocationEndsWhatIsOpen: a token revoked on the command line, and a
// session signed out at one replica, end sockets and event streams of theirs on
// all replicas, and nobody else's.
func TestRevocationEndsWhatIsOpen(t *testing.T) {
	database, one, two := pair(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := one.order(1)
	stays := dialEvents(ctx, t, two.URL, two.token, "")
	secret, id := mintNamed(t, database)
	var sockets []*events
	for _, s := range []*slipway{one, two} {
		sockets = append(sockets, dialEvents(ctx, t, s.URL, secret, ""))
	}
	page, err := openSSE(ctx, two.URL, "", secret, "")
	require.NoError(t, err)
	defer page.close()
	session := signIn(t, one)
	app, err := openSocketWith(ctx, two.URL, session)
	require.NoError(t, err)
	defer app.Close()

	path, err := binary()
	require.NoError(t, err)
	revoke := exec.Command(path, "token", "revoke", id, "--data-dir="+t.TempDir(), "--database="+database)
	revoke.Env = clean()
	out, err := revoke.CombinedOutput()
	require.NoError(t, err, string(out))
	begun := time.Now()
	for _, e := range sockets {
		require.True(t, websocket.IsCloseError(e.broken(), 4403))
	}
	for err == nil {
		_, err = page.next()
	}
	require.ErrorIs(t, err, io.EOF)
	_, err = openSSE(ctx, two.URL, "", secret, "")
	require.True(t, errors.Is(err, errRefused)) //nolint:testifylint // the text does not matter
	t.Logf("all were told within %v", time.Since(begun))
	require.Less(t, time.Since(begun), 45*time.Second, "on a busy machine; a look every 3 s")

	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, one.URL+"/api/session", nil)
	require.NoError(t, err)
	req.AddCookie(session)
	req.Header.Set("Origin", one.URL)
	resp, err := web.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	for err == nil {
		_, _, err = app.ReadMessage()
	}
	require.True(t, websocket.IsCloseError(err, 4403), "%v", err)

	one.must(n, "still here")
	require.Equal(t, []string{"still here"}, stays.until("still here"))
}

// mintNamed makes a viewer's token and gives its id, too.
func mintNamed(t *testing.T, database string) (secret, id string) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, "token", "create", "gone soon", "--role=viewer", "--data-dir="+t.TempDir(), "--database="+database)
	cmd.Env = clean()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	m := regexp.MustCompile(`(?s)token (\d+) .*(slw_\S+)`).FindStringSubmatch(string(out))
	require.NotNil(t, m, string(out))
	return m[2], m[1]
}
