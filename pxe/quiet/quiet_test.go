package quiet

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A flood is written as far as the budget goes; what was left out is told.
func TestAFloodIsCounted(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	l := New(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return at })
	for range 10_000 {
		l.Log(t.Context(), slog.LevelInfo, "refused", "client", "192.0.2.1")
		l.Log(t.Context(), slog.LevelDebug, "nobody reads this")
	}
	require.Equal(t, burst, strings.Count(out.String(), "\n"))
	out.Reset()
	at = at.Add(time.Second)
	l.Log(t.Context(), slog.LevelInfo, "refused")
	require.Contains(t, out.String(), "lines_left_out=9800")
	out.Reset()
	l.Log(t.Context(), slog.LevelInfo, "refused")
	require.NotContains(t, out.String(), "left_out")
}
