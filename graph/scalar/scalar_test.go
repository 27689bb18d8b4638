package scalar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/graph/scalar"
)

func written(m graphql.Marshaler) string {
	var b strings.Builder
	m.MarshalGQL(&b)
	return b.String()
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22T10:00:00+02:00":        `"2026-11-22T08:00:00Z"`,
		"2026-11-22T08:00:00.123456789Z":   `"2026-11-22T08:00:00.123456Z"`,
		"2026-11-22T08:00:00.100000-00:30": `"2026-11-22T08:30:00.1Z"`,
	} {
		got, err := scalar.UnmarshalTime(in)
		require.NoError(t, err)
		require.Equal(t, want, written(scalar.MarshalTime(got)))
		require.True(t, json.Valid([]byte(want)))
	}
	for _, bad := range []any{"2026-11-22", "2026-11-22T08:00:00", "now", 1, nil, true} {
		_, err := scalar.UnmarshalTime(bad)
		wantShown(t, err)
	}
}

// wantShown: the error's text is for callers.
func wantShown(t *testing.T, err error) {
	t.Helper()
	var e *scalar.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Text)
}

func TestDuration(t *testing.T) {
	require.Equal(t, "1500", written(scalar.MarshalDuration(1500*time.Millisecond+999*time.Microsecond)))
	for _, good := range []any{1500, int64(1500), json.Number("1500")} {
		d, err := scalar.UnmarshalDuration(good)
		require.NoError(t, err)
		require.Equal(t, 1500*time.Millisecond, d)
	}
	for _, bad := range []any{"1500", 1.5, json.Number("1.5"), json.Number("1e3"), json.Number("9223372036854775807"), nil} {
		_, err := scalar.UnmarshalDuration(bad)
		wantShown(t, err)
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.7": "10.0.0.7", "2001:DB8:0:0::1": "2001:db8::1", "::ffff:10.0.0.7": "10.0.0.7"} {
		got, err := scalar.UnmarshalIPAddress(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []any{"10.0.0", "10.0.0.7/24", "fe80::1%eth0", "host", "", 7} {
		_, err := scalar.UnmarshalIPAddress(bad)
		wantShown(t, err)
	}
	mac, err := scalar.UnmarshalMACAddress("02-00-5E-00-53-01")
	require.NoError(t, err)
	require.Equal(t, "02:00:5e:00:53:01", mac)
	for _, bad := range []any{"02:00:5e:00:53", "02:00:5e:00:53:zz", "", 7} {
		_, err := scalar.UnmarshalMACAddress(bad)
		wantShown(t, err)
	}
}

func TestJSONObject(t *testing.T) {
	raw, err := scalar.UnmarshalJSONObject(map[string]any{"a": json.Number("12345678901234567890"), "b": []any{nil}})
	require.NoError(t, err)
	require.JSONEq(t, `{"a":12345678901234567890,"b":[null]}`, string(raw))
	require.Equal(t, string(raw), written(scalar.MarshalJSONObject(raw)))
	require.Equal(t, "null", written(scalar.MarshalJSONObject(json.RawMessage(`{"a":`))))
	for _, bad := range []any{"{}", []any{}, 1, nil} {
		_, err := scalar.UnmarshalJSONObject(bad)
		wantShown(t, err)
	}
}

func TestCursor(t *testing.T) {
	c, err := scalar.UnmarshalCursor("abc")
	require.NoError(t, err)
	require.Equal(t, `"abc"`, written(scalar.MarshalCursor(c)))
	for _, bad := range []any{1, nil, strings.Repeat("a", 1025)} {
		_, err := scalar.UnmarshalCursor(bad)
		wantShown(t, err)
	}
}
