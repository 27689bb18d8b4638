package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
)

func TestLimiterSlowsDownWhoFails(t *testing.T) {
	c := newClock()
	l := access.NewLimiter(1, 3, 10, c.now)
	for range 3 {
		require.Zero(t, l.Wait("192.0.2.1"))
		l.Failed("192.0.2.1")
	}
	require.Positive(t, l.Wait("192.0.2.1"))
	require.LessOrEqual(t, l.Wait("192.0.2.1"), time.Second)
	require.Zero(t, l.Wait("192.0.2.2"), "others are not held up")
	c.move(time.Second)
	require.Zero(t, l.Wait("192.0.2.1"))
}

func TestLimiterForgetsTheOldestAddresses(t *testing.T) {
	c := newClock()
	l := access.NewLimiter(0.001, 1, 100, c.now)
	for i := range 1000 {
		c.move(time.Second)
		l.Failed(fmt.Sprint("host-", i))
	}
	require.LessOrEqual(t, l.Len(), 100)
	require.Positive(t, l.Wait("host-999"), "the newest is remembered")
}

func TestRoles(t *testing.T) {
	order := []access.Role{access.RoleViewer, access.RoleOperator, access.RoleAdmin}
	for i, have := range order {
		for j, need := range order {
			require.Equal(t, i >= j, have.Allows(need), "%s for %s", have, need)
		}
		require.False(t, have.Allows(""))
		require.False(t, access.Role("").Allows(have))
	}
	var nobody *access.Principal
	require.False(t, nobody.May(access.RoleViewer))
}

func TestRedact(t *testing.T) {
	secret := "slr_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"
	for in, want := range map[string]string{
		"plain text slow":               "plain text slow",
		"token=" + secret + " done":     "token=slr_[removed] done",
		secret + secret:                 "slr_[removed]",
		"slr_short stays":               "slr_short stays",
		"a " + secret + "\nb " + secret: "a slr_[removed]\nb slr_[removed]",
	} {
		require.Equal(t, want, access.Redact(in))
	}
}
