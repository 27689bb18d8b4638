package pxe_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/pxe/scripts"
)

// EDK2's HTTP boot: HEAD for the size, then GET.
func TestBootPrograms(t *testing.T) {
	p, err := program.New("undionly.kpxe", "1.0", time.Unix(1_700_000_000, 0), []byte("a boot program"))
	require.NoError(t, err)
	files, err := artifact.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	parts := pxe.Parts{Settings: settings(), Artifacts: files, Scripts: scripts.Set{}, Programs: program.NewSet(p), Log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		method, path, bytes string
		programs            pxe.Programs
		status              int
		body                string
	}{
		{method: "HEAD", path: "undionly.kpxe", programs: parts.Programs, status: 200},
		{method: "GET", path: "undionly.kpxe", programs: parts.Programs, status: 200, body: "a boot program"},
		{method: "GET", path: "undionly.kpxe", bytes: "bytes=2-5", programs: parts.Programs, status: 206, body: "boot"},
		{method: "POST", path: "undionly.kpxe", programs: parts.Programs, status: 405},
		{method: "GET", path: "ipxe.efi", programs: parts.Programs, status: 404},
		{method: "GET", path: "..%2f..%2fetc%2fpasswd", programs: parts.Programs, status: 404},
		{method: "GET", path: "undionly.kpxe", status: 404}, // a server without any
	} {
		parts.Programs = c.programs
		h, err := pxe.New(parts)
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/boot/programs/"+c.path, nil)
		if c.bytes != "" {
			r.Header.Set("Range", c.bytes)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		res := w.Result()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, "%s %s", c.method, c.path)
		if c.status >= 300 {
			continue
		}
		require.Equal(t, c.body, string(body))
		require.Equal(t, p.SHA256, res.Header.Get("X-Checksum-Sha256"))
		require.Equal(t, `"`+p.SHA256+`"`, res.Header.Get("ETag"))
		if c.status == http.StatusOK {
			require.Equal(t, "14", res.Header.Get("Content-Length"))
		}
	}
}
