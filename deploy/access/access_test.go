package access_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// clock is a hand-moved clock.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// node makes a node with a running deployment and gives their ids.
func node(t *testing.T, st *store.Store, name string) (nodeID, deploymentID int64) {
	t.Helper()
	err := st.InTx(t.Context(), func(tx *sql.Tx) error {
		c := st.EntTx(tx)
		n, err := c.Node.Create().SetName(name).SetProvider("ibm_vpc").Save(t.Context())
		if err != nil {
			return err
		}
		d, err := c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState("running").SetPhase("ipxe_boot").
			SetPhaseStatus("waiting").SetProvider("ibm_vpc").SetConfig([]byte(`{}`)).
			SetRequestedByKind("user").SetRequestedBy("ada").Save(t.Context())
		nodeID, deploymentID = n.ID, d.ID
		return err
	})
	require.NoError(t, err)
	return nodeID, deploymentID
}

func end(t *testing.T, st *store.Store, deploymentID int64, state string, at time.Time) {
	t.Helper()
	require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error {
		return st.EntTx(tx).Deployment.UpdateOneID(deploymentID).SetState(state).SetFinishedAt(at).Exec(t.Context())
	}))
}

func unauthenticated(t *testing.T, err error) {
	t.Helper()
	require.True(t, deploy.HasCode(err, deploy.CodeUnauthenticated), "got %v", err)
}

func TestAPITokenFromCreationToRevocation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, c := t.Context(), newClock()
		s := access.New(st, access.WithClock(c.now))
		secret, made, err := s.CreateToken(ctx, access.NewToken{Name: "ci", Role: access.RoleOperator, For: time.Hour, CreatedBy: "ada"})
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(secret, "slw_"))
		p, err := s.Authenticate(ctx, secret)
		require.NoError(t, err)
		require.Equal(t, access.Principal{Kind: access.KindToken, Role: access.RoleOperator, Name: "ci", TokenID: made.ID, ExpiresAt: c.now().Add(time.Hour)}, *p)
		require.True(t, p.May(access.RoleViewer))
		require.False(t, p.May(access.RoleAdmin))
		require.Equal(t, deploy.Actor{Kind: deploy.ActorToken, Name: "ci"}, p.Actor())

		require.NoError(t, s.Flush(ctx))
		list, err := s.Tokens(ctx)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, c.now(), list[0].LastUsedAt.UTC(), "the use was written by the flush")

		require.NoError(t, s.RevokeToken(ctx, made.ID))
		_, err = s.Authenticate(ctx, secret)
		unauthenticated(t, err)
		require.NoError(t, s.RevokeToken(ctx, made.ID), "again changes nothing")
		require.True(t, deploy.HasCode(s.RevokeToken(ctx, 9999), deploy.CodeNotFound))
	})
}

func TestAPITokenExpiresEvenWhenCached(t *testing.T) {
	ctx, c := t.Context(), newClock()
	s := access.New(storetest.SQLite(t), access.WithClock(c.now))
	secret, _, err := s.CreateToken(ctx, access.NewToken{Name: "short", Role: access.RoleViewer, For: time.Second})
	require.NoError(t, err)
	_, err = s.Authenticate(ctx, secret)
	require.NoError(t, err)
	c.move(time.Second)
	_, err = s.Authenticate(ctx, secret)
	unauthenticated(t, err)
}

func TestAnotherReplicaHearsOfARevocationWithinSeconds(t *testing.T) {
	ctx, c := t.Context(), newClock()
	st := storetest.SQLite(t)
	one, other := access.New(st, access.WithClock(c.now)), access.New(st, access.WithClock(c.now))
	secret, made, err := one.CreateToken(ctx, access.NewToken{Name: "x", Role: access.RoleViewer})
	require.NoError(t, err)
	_, err = other.Authenticate(ctx, secret)
	require.NoError(t, err)
	require.NoError(t, one.RevokeToken(ctx, made.ID))
	c.move(access.CacheFor)
	_, err = other.Authenticate(ctx, secret)
	unauthenticated(t, err)
}

func TestBadNewTokensAreRefusedWithEveryField(t *testing.T) {
	s := access.New(storetest.SQLite(t))
	for name, in := range map[string]access.NewToken{
		"no name":       {Role: access.RoleViewer},
		"long name":     {Name: strings.Repeat("x", 101), Role: access.RoleViewer},
		"newline":       {Name: "a\nb", Role: access.RoleViewer},
		"bad utf-8":     {Name: "a\xff", Role: access.RoleViewer},
		"unknown role":  {Name: "a", Role: "root"},
		"negative time": {Name: "a", Role: access.RoleViewer, For: -1},
	} {
		_, _, err := s.CreateToken(t.Context(), in)
		e, ok := deploy.AsError(err)
		require.True(t, ok, name)
		require.Len(t, e.Fields, 1, name)
	}
	_, _, err := s.CreateToken(t.Context(), access.NewToken{})
	e, _ := deploy.AsError(err)
	require.Len(t, e.Fields, 2)
}

func TestGarbageIdentifiesNobody(t *testing.T) {
	st := storetest.SQLite(t)
	s := access.New(st)
	nodeID, depID := node(t, st, "web-01")
	locator, err := s.CreateLocator(t.Context(), nodeID, depID)
	require.NoError(t, err)
	code, err := s.CreateSignIn(t.Context(), "ada", access.RoleAdmin, "cli")
	require.NoError(t, err)
	for _, secret := range []string{"", "slw_", "slw_x", locator, code, "slw_" + locator, strings.Repeat("a", 1<<20), "slw_" + strings.Repeat("'", 43), "sls_" + code[4:]} {
		_, err := s.Authenticate(t.Context(), secret)
		unauthenticated(t, err)
	}
}

func TestNoSecretIsInTheDatabase(t *testing.T) {
	ctx := t.Context()
	st := storetest.SQLite(t)
	s := access.New(st)
	nodeID, depID := node(t, st, "web-01")
	api, _, err := s.CreateToken(ctx, access.NewToken{Name: "a", Role: access.RoleViewer})
	require.NoError(t, err)
	locator, err := s.CreateLocator(ctx, nodeID, depID)
	require.NoError(t, err)
	report, err := s.CreateReportToken(ctx, nodeID, depID, 1, "web-01")
	require.NoError(t, err)
	rows, err := st.Ent().Token.Query().All(ctx)
	require.NoError(t, err)
	require.Len(t, rows, 3)
	for _, r := range rows {
		require.Len(t, r.Hash, 64)
		for _, secret := range []string{api, locator, report} {
			require.NotContains(t, r.String(), secret[4:])
		}
	}
}

func TestSignInCodeWorksOnceAndNotTooLate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, c := t.Context(), newClock()
		s := access.New(st, access.WithClock(c.now))
		code, err := s.CreateSignIn(ctx, "ada", access.RoleAdmin, "cli")
		require.NoError(t, err)
		c.move(access.SignInFor - time.Second)

		const racers = 8
		var mu sync.Mutex
		var won []string
		var wg sync.WaitGroup
		for range racers {
			wg.Go(func() {
				session, _, err := s.SignIn(ctx, code)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, session)
			})
		}
		wg.Wait()
		require.Len(t, won, 1, "one code makes one session")
		p, err := s.Authenticate(ctx, won[0])
		require.NoError(t, err)
		require.Equal(t, access.KindSession, p.Kind)
		require.Equal(t, deploy.Actor{Kind: deploy.ActorUser, Name: "ada"}, p.Actor())

		_, _, err = s.SignIn(ctx, code)
		unauthenticated(t, err)
		late, err := s.CreateSignIn(ctx, "bob", access.RoleViewer, "cli")
		require.NoError(t, err)
		c.move(access.SignInFor)
		_, _, err = s.SignIn(ctx, late)
		unauthenticated(t, err)
	})
}

func TestSessionSlidesAndEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, c := t.Context(), newClock()
		s := access.New(st, access.WithClock(c.now))
		session := signIn(t, s)
		for range 3 { // 33 hours, never idle for twelve
			c.move(11 * time.Hour)
			_, err := s.Authenticate(ctx, session)
			require.NoError(t, err)
			require.NoError(t, s.Flush(ctx))
		}
		other := access.New(st, access.WithClock(c.now))
		_, err := other.Authenticate(ctx, session)
		require.NoError(t, err, "the slid end is in the database")
		c.move(access.SessionFor)
		_, err = s.Authenticate(ctx, session)
		unauthenticated(t, err)

		again := signIn(t, s)
		p, err := s.Authenticate(ctx, again)
		require.NoError(t, err)
		require.NoError(t, s.SignOut(ctx, p.TokenID))
		_, err = s.Authenticate(ctx, again)
		unauthenticated(t, err)
		require.NoError(t, s.Flush(ctx))
		_, err = access.New(st, access.WithClock(c.now)).Authenticate(ctx, again)
		unauthenticated(t, err)
		require.NoError(t, s.SignOut(ctx, p.TokenID), "twice is no error")
	})
}

func signIn(t *testing.T, s *access.Service) string {
	t.Helper()
	code, err := s.CreateSignIn(t.Context(), "ada", access.RoleOperator, "cli")
	require.NoError(t, err)
	session, _, err := s.SignIn(t.Context(), code)
	require.NoError(t, err)
	return session
}

func TestOlderReportTokenHoldsUntilTheNewerIsUsed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		s := access.New(st)
		nodeID, depID := node(t, st, "web-01")
		_, otherDep := node(t, st, "web-02")
		first, err := s.CreateReportToken(ctx, nodeID, depID, 1, "web-01")
		require.NoError(t, err)
		p, err := s.Authenticate(ctx, first)
		require.NoError(t, err)
		require.Equal(t, access.Principal{Kind: access.KindMachine, Name: "web-01", TokenID: p.TokenID, NodeID: nodeID, DeploymentID: depID, Attempt: 1}, *p)
		require.False(t, p.May(access.RoleViewer), "a machine has no role")
		bystander, err := s.CreateReportToken(ctx, nodeID, otherDep, 1, "web-02")
		require.NoError(t, err)

		second, err := s.CreateReportToken(ctx, nodeID, depID, 1, "web-01")
		require.NoError(t, err)
		_, err = s.Authenticate(ctx, first)
		require.NoError(t, err, "the newer one may never have arrived")
		_, err = s.Authenticate(ctx, second)
		require.NoError(t, err)
		_, err = s.Authenticate(ctx, first)
		unauthenticated(t, err)
		_, err = s.Authenticate(ctx, second)
		require.NoError(t, err)
		_, err = s.Authenticate(ctx, bystander)
		require.NoError(t, err, "another deployment's token is untouched")
	})
}

func TestReportTokenStillSpeaksAfterTheEndForADay(t *testing.T) {
	ctx, c := t.Context(), newClock()
	st := storetest.SQLite(t)
	s := access.New(st, access.WithClock(c.now))
	nodeID, depID := node(t, st, "web-01")
	secret, err := s.CreateReportToken(ctx, nodeID, depID, 1, "web-01")
	require.NoError(t, err)
	_, err = s.Authenticate(ctx, secret)
	require.NoError(t, err)
	end(t, st, depID, "succeeded", c.now())
	c.move(access.CacheFor)
	p, err := s.Authenticate(ctx, secret)
	require.NoError(t, err)
	require.True(t, p.Ended)
	c.move(access.EndedFor + time.Second)
	_, err = s.Authenticate(ctx, secret)
	unauthenticated(t, err)
}

func TestLocatorsOfADeploymentAllHold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		s := access.New(st)
		nodeID, depID := node(t, st, "web-01")
		var locators []string
		for range 2 {
			l, err := s.CreateLocator(ctx, nodeID, depID)
			require.NoError(t, err)
			require.Len(t, l, 43)
			locators = append(locators, l)
		}
		for _, l := range locators {
			at, err := s.Locate(ctx, l)
			require.NoError(t, err)
			require.Equal(t, access.Located{NodeID: nodeID, DeploymentID: depID, Active: true}, at)
		}
		end(t, st, depID, "failed", time.Now())
		at, err := s.Locate(ctx, locators[0])
		require.NoError(t, err)
		require.False(t, at.Active)
		_, err = s.Locate(ctx, strings.Repeat("A", 43))
		unauthenticated(t, err)
		_, err = s.Locate(ctx, "../../etc/passwd")
		unauthenticated(t, err)
	})
}

func TestSweepKeepsAPITokensAndFreshRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, c := t.Context(), newClock()
		s := access.New(st, access.WithClock(c.now))
		signIn(t, s)
		_, _, err := s.CreateToken(ctx, access.NewToken{Name: "a", Role: access.RoleViewer, For: time.Minute})
		require.NoError(t, err)
		require.NoError(t, s.Sweep(ctx))
		require.Equal(t, 3, count(t, st))
		c.move(60 * 24 * time.Hour)
		require.NoError(t, s.Sweep(ctx))
		require.Equal(t, 1, count(t, st), "code and session went, the API token stays visible")
	})
}

func count(t *testing.T, st *store.Store) int {
	t.Helper()
	n, err := st.Ent().Token.Query().Count(t.Context())
	require.NoError(t, err)
	return n
}

func TestRunWritesWhatIsLeftWhenItEnds(t *testing.T) {
	st := storetest.SQLite(t)
	s := access.New(st)
	secret, _, err := s.CreateToken(t.Context(), access.NewToken{Name: "a", Role: access.RoleViewer})
	require.NoError(t, err)
	_, err = s.Authenticate(t.Context(), secret)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Run(ctx))
	list, err := s.Tokens(t.Context())
	require.NoError(t, err)
	require.NotNil(t, list[0].LastUsedAt)
}

func TestADatabaseThatIsGoneIsNotABadToken(t *testing.T) {
	st := storetest.SQLite(t)
	s := access.New(st)
	secret, _, err := s.CreateToken(t.Context(), access.NewToken{Name: "a", Role: access.RoleViewer})
	require.NoError(t, err)
	require.NoError(t, st.Read.Close())
	_, err = s.Authenticate(t.Context(), secret)
	require.Error(t, err)
	_, answer := deploy.AsError(err)
	require.False(t, answer)
}

func TestSweepForgetsMachinesOfLongAgo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, c := t.Context(), newClock()
		s := access.New(st, access.WithClock(c.now))
		secrets := func(name string) (nodeID, depID int64, locator string) {
			nodeID, depID = node(t, st, name)
			locator, err := s.CreateLocator(ctx, nodeID, depID)
			require.NoError(t, err)
			_, err = s.CreateReportToken(ctx, nodeID, depID, 1, name)
			require.NoError(t, err)
			return nodeID, depID, locator
		}
		_, _, running := secrets("running")
		currentNode, currentDep, current := secrets("current")
		_, past, gone := secrets("past")
		require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
			return st.EntTx(tx).Node.UpdateOneID(currentNode).SetCurrentDeploymentID(currentDep).Exec(ctx)
		}))
		end(t, st, currentDep, "succeeded", c.now())
		end(t, st, past, "failed", c.now())
		require.NoError(t, s.Sweep(ctx))
		require.Equal(t, 6, count(t, st), "they ended just now")
		c.move(31 * 24 * time.Hour)
		require.NoError(t, s.Sweep(ctx))
		require.Equal(t, 3, count(t, st), "two of the running one, and one locator")
		for _, l := range []string{running, current} {
			_, err := s.Locate(ctx, l)
			require.NoError(t, err, "a machine may boot from it at any time")
		}
		_, err := s.Locate(ctx, gone)
		unauthenticated(t, err)
	})
}
