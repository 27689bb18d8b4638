package access

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	sqlbuild "entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/token"
)

// How long things hold.
const (
	SignInFor  = 10 * time.Minute // a sign-in code that was not used
	SessionFor = 12 * time.Hour   // a session after its last use
	// EndedFor is how long a machine's token still identifies it after its
	// deployment ended, for the repeat of a last report whose answer was lost.
	EndedFor = 24 * time.Hour
	// CacheFor is how long a good secret is believed without asking the
	// database. What one process revokes is gone there at once, in every other
	// process after this time at most.
	CacheFor = 5 * time.Second
	// FlushEvery is how often last uses and slid sessions are written.
	FlushEvery = 10 * time.Second

	cacheSize = 4096
	// keepDead is how long used, revoked and expired rows are kept, so that
	// people can still see them.
	keepDead = 30 * 24 * time.Hour
)

// Service gives out, checks and takes back secrets. It is safe for concurrent
// use by many.
type Service struct {
	store *store.Store
	read  *ent.Client
	now   func() time.Time
	log   *slog.Logger

	cache   *cache
	watches watches

	mu   sync.Mutex
	used map[int64]use // by token id, what the next flush writes
}

// use is the last use of a token.
type use struct {
	at      time.Time
	expires time.Time // new end of a session, else zero
}

// Option changes a Service.
type Option func(*Service)

// WithClock sets the clock; the default is time.Now.
func WithClock(now func() time.Time) Option { return func(s *Service) { s.now = now } }

// WithLogger sets where trouble of the background work is logged.
func WithLogger(log *slog.Logger) Option { return func(s *Service) { s.log = log } }

// New makes a Service on a database.
func New(st *store.Store, opts ...Option) *Service {
	s := &Service{store: st, read: st.Ent(), now: time.Now, log: slog.Default(), used: map[int64]use{}}
	for _, o := range opts {
		o(s)
	}
	s.cache = newCache(cacheSize)
	return s
}

// clock is the time in the precision that both databases keep.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Run writes last uses, looks at the credentials of open streams and removes
// long dead rows until ctx ends, then writes what is left.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	sweep := time.NewTicker(time.Hour)
	defer sweep.Stop()
	look := time.NewTicker(WatchEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return s.Flush(last)
		case <-tick.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("last uses of tokens were not written; they will be tried again", "error", err)
			}
		case <-look.C:
			if err := s.Look(ctx); err != nil && ctx.Err() == nil {
				s.log.Debug("it could not be asked who may stay", "error", err) // the rest says it loudly enough
			}
		case <-sweep.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("old tokens were not removed; they will be tried again", "error", err)
			}
		}
	}
}

// touch remembers a use for the next flush.
func (s *Service) touch(id int64, u use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[id] = u
}

// Flush writes the last uses that were seen since the one before, in one
// transaction. What fails is kept for the next.
func (s *Service) Flush(ctx context.Context) error {
	s.mu.Lock()
	batch := s.used
	s.used = make(map[int64]use, len(batch))
	s.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := s.inTx(ctx, func(tx *ent.Client) error {
		for id, u := range batch {
			q := tx.Token.Update().Where(token.ID(id)).SetLastUsedAt(u.at)
			if !u.expires.IsZero() {
				q.SetExpiresAt(u.expires)
			}
			if err := q.Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		for id, u := range batch {
			if _, newer := s.used[id]; !newer {
				s.used[id] = u
			}
		}
		s.mu.Unlock()
		return fmt.Errorf("write last uses of tokens: %w", err)
	}
	return nil
}

// Sweep deletes rows of sign-in codes and sessions that are long dead, and
// machines' secrets of deployments that are long over; a node's current
// deployment keeps its locators, for its machine may boot from them at any
// time. API tokens are kept: who had one must stay visible.
func (s *Service) Sweep(ctx context.Context) error {
	old := s.clock().Add(-keepDead)
	err := s.inTx(ctx, func(tx *ent.Client) error {
		_, err := tx.Token.Delete().
			Where(token.KindIn(kindSignIn, kindSession), token.Or(token.ExpiresAtLT(old), token.RevokedAtLT(old))).
			Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Token.Delete().Where(token.KindIn(kindReport, kindLocator), token.CreatedAtLT(old), func(q *sqlbuild.Selector) {
			d, n := sqlbuild.Table(deployment.Table), sqlbuild.Table(node.Table)
			q.Where(sqlbuild.In(q.C(token.FieldDeploymentID), sqlbuild.Dialect(q.Dialect()).Select(d.C(deployment.FieldID)).From(d).
				Where(sqlbuild.And(sqlbuild.LT(d.C(deployment.FieldFinishedAt), old), sqlbuild.NotIn(d.C(deployment.FieldState), activeStates...)))))
			q.Where(sqlbuild.Or(sqlbuild.EQ(q.C(token.FieldKind), kindReport), sqlbuild.NotIn(q.C(token.FieldDeploymentID),
				sqlbuild.Dialect(q.Dialect()).Select(n.C(node.FieldCurrentDeploymentID)).From(n).Where(sqlbuild.NotNull(n.C(node.FieldCurrentDeploymentID))))))
		}).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove old tokens: %w", err)
	}
	return nil
}

// activeStates are the states of deployments that are not over.
var activeStates = func() (out []any) {
	for _, s := range phase.States() {
		if phase.Active(s) {
			out = append(out, s)
		}
	}
	return out
}()

// inTx runs f in a transaction of the writing pool. f must use its client only:
// the pool may have one connection.
func (s *Service) inTx(ctx context.Context, f func(tx *ent.Client) error) error {
	return s.store.InTx(ctx, func(tx *sql.Tx) error { return f(s.store.EntTx(tx)) })
}

// errUnauthenticated says no more than this to whoever has a bad secret.
func errUnauthenticated() error {
	return &deploy.Error{
		Code: deploy.CodeUnauthenticated, Message: "this token is not valid",
		Hint: "it may be mistyped, expired or revoked",
	}
}
