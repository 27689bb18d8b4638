package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// ended waits until a watched context ends and gives why.
func ended(t *testing.T, ctx context.Context) error {
	t.Helper()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "it still stands")
		return nil
	}
}

// Who stays is told when its credential is taken back, by this process or by
// another, and nobody else is.
func TestWatchedCredentials(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		here, there := access.New(st), access.New(st) // two replicas
		mint := func(name string) *access.Principal {
			secret, _, err := here.CreateToken(ctx, access.NewToken{Name: name, Role: access.RoleViewer})
			require.NoError(t, err)
			p, err := here.Authenticate(ctx, secret)
			require.NoError(t, err)
			return p
		}
		first, second, stays := mint("first"), mint("second"), mint("stays")
		leaving, leave := context.WithCancel(ctx)
		a, b := here.Watch(ctx, first), here.Watch(ctx, first)
		c, d := here.Watch(ctx, second), here.Watch(ctx, stays)
		e := here.Watch(leaving, stays)
		require.Equal(t, 3, here.Watched(), "each credential counts once")

		require.NoError(t, here.RevokeToken(ctx, first.TokenID))
		require.ErrorIs(t, ended(t, a), access.ErrTakenBack, "at once: nobody had to look")
		require.ErrorIs(t, ended(t, b), access.ErrTakenBack)

		require.NoError(t, there.RevokeToken(ctx, second.TokenID))
		require.NoError(t, c.Err(), "nobody has looked")
		require.NoError(t, here.Look(ctx))
		require.ErrorIs(t, ended(t, c), access.ErrTakenBack)
		require.NoError(t, d.Err())

		code, err := here.CreateSignIn(ctx, "ada", access.RoleOperator, "test")
		require.NoError(t, err)
		_, ada, err := here.SignIn(ctx, code)
		require.NoError(t, err)
		s := here.Watch(ctx, ada)
		require.NoError(t, there.SignOut(ctx, ada.TokenID))
		require.NoError(t, here.Look(ctx))
		require.ErrorIs(t, ended(t, s), access.ErrTakenBack)

		// Who leaves is forgotten, and is no reason to ask.
		leave()
		require.ErrorIs(t, ended(t, e), context.Canceled)
		require.Equal(t, 1, here.Watched())

		// Not knowing is no reason to send anybody away.
		require.NoError(t, st.Read.Close())
		require.Error(t, here.Look(ctx))
		require.NoError(t, d.Err())
	})
}

// A service that runs looks by itself.
func TestWatchedCredentialsAreLookedAt(t *testing.T) {
	st := storetest.SQLite(t)
	here, there := access.New(st), access.New(st)
	secret, _, err := here.CreateToken(t.Context(), access.NewToken{Name: "ci", Role: access.RoleViewer})
	require.NoError(t, err)
	p, err := here.Authenticate(t.Context(), secret)
	require.NoError(t, err)
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- here.Run(running) }()
	stays := here.Watch(t.Context(), p)
	require.NoError(t, there.RevokeToken(t.Context(), p.TokenID))
	require.ErrorIs(t, ended(t, stays), access.ErrTakenBack)
	stop()
	require.NoError(t, <-done)
}
