package feed_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
)

func TestCursor(t *testing.T) {
	for _, c := range []feed.Cursor{{Epoch: "0123456789abcdef0123456789abcdef", Position: 0}, {Epoch: "e", Position: 1<<63 - 1}, {Position: 7}} {
		got, err := feed.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
		got, err = feed.ParseCursor(c.String() + "==") // padding does no harm
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, s := range []string{"", "7", "v1:e:7", raw("v2:e:7"), raw("v1:e"), raw("v1:e:-1"), raw("v1:e:+1"), raw("v1:e:07"), raw("v1:e:1:2"), raw("v1:e:9223372036854775808"), raw("v1:e:"), "é", strings.Repeat("A", 201)} {
		_, err := feed.ParseCursor(s)
		require.True(t, deploy.HasCode(err, deploy.CodeInvalid), "%q: %v", s, err)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(feed.Cursor{Epoch: "e", Position: 7}.String())
	f.Add("")
	f.Add("djE6OjA")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := feed.ParseCursor(s)
		if err != nil {
			if !deploy.HasCode(err, deploy.CodeInvalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		again, err := feed.ParseCursor(c.String())
		if c.Position < 0 || err != nil && len(c.String()) <= 200 || err == nil && again != c {
			t.Fatalf("%q reads as %+v, which reads as %+v, %v", s, c, again, err)
		}
	})
}
