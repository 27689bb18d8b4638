package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
)

func TestStrangersAreAllCountedAndSomeKept(t *testing.T) {
	c := newClock()
	var kept []string
	s := access.NewStrangers(func(_ context.Context, _, _, _, summary string) error {
		kept = append(kept, summary)
		return nil
	}, c.now, nil)
	for range 1000 {
		s.Stranger(t.Context(), "unauthenticated", "192.0.2.1", "/x", "token slr_"+"AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE")
	}
	require.Equal(t, map[string]int64{"unauthenticated": 1000}, s.Counts())
	require.Len(t, kept, 20)
	require.Equal(t, "token slr_[removed]", kept[0])
	c.move(5 * time.Second)
	s.Stranger(t.Context(), "not_found", "192.0.2.1", "/x", "y")
	require.Len(t, kept, 21)
}
