package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLargeNonsense: a body over the limit is too large, whatever else is
// wrong with it.
func TestLargeNonsense(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for _, body := range []string{strings.Repeat(" ", 4<<20), strings.Repeat("x", 300<<10), `{"phase":` + strings.Repeat("[", 300<<10)} {
			got := r.call("POST", "/api/status/phase", r.operator, body, "Content-Type", "application/json")
			require.Equal(t, http.StatusRequestEntityTooLarge, got.status, got.body)
		}
		require.Equal(t, http.StatusBadRequest, r.call("POST", "/api/status/phase", r.operator, " ", "Content-Type", "application/json").status)
	})
}
