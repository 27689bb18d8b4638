package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// WatchEvery is how often it is asked whether the credentials of those who
// watch still hold. What this process takes back ends at once; what another
// one does, after this time.
const WatchEvery = 3 * time.Second

// watchPage is how many credentials one query asks for.
const watchPage = 500

// ErrTakenBack is why a watched context has ended: its credential was revoked,
// its session signed out.
var ErrTakenBack = errors.New("access: the credential was taken back")

// watches are the contexts of those who stay: streams, websockets. However
// many a principal has, its credential is asked for once.
type watches struct {
	mu   sync.Mutex
	open map[int64]map[*watch]struct{} // by token id
}

type watch struct{ end context.CancelCauseFunc }

// Watch gives a context that ends, with ErrTakenBack as its cause, soon after
// the principal's credential is taken back: at once if this process does it,
// within WatchEvery otherwise. The context must end some day; expiry is not
// watched. While the database cannot be asked everybody stays.
func (s *Service) Watch(ctx context.Context, p *Principal) context.Context {
	if p == nil || p.TokenID == 0 {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w, id := &watch{cancel}, p.TokenID
	s.watches.add(id, w)
	context.AfterFunc(ctx, func() {
		s.watches.remove(id, w)
		cancel(nil)
	})
	return ctx
}

func (l *watches) add(id int64, w *watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[int64]map[*watch]struct{}{}
	}
	if l.open[id] == nil {
		l.open[id] = map[*watch]struct{}{}
	}
	l.open[id][w] = struct{}{}
}

func (l *watches) remove(id int64, w *watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open[id], w)
	if len(l.open[id]) == 0 {
		delete(l.open, id)
	}
}

// end ends all who watch a credential.
func (l *watches) end(id int64) {
	l.mu.Lock()
	gone := l.open[id]
	delete(l.open, id)
	l.mu.Unlock()
	for w := range gone {
		w.end(ErrTakenBack)
	}
}

func (l *watches) ids() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int64, 0, len(l.open))
	for id := range l.open {
		out = append(out, id)
	}
	return out
}

// Watched is how many distinct credentials are watched.
func (s *Service) Watched() int { return len(s.watches.ids()) }

// Look ends those whose credential another process has taken back. Run calls
// it every WatchEvery; it costs one query for 500 credentials, none if nobody
// watches.
func (s *Service) Look(ctx context.Context) error {
	for ids := range slices.Chunk(s.watches.ids(), watchPage) {
		holds, err := s.hold(ctx, ids)
		if err != nil {
			return fmt.Errorf("look at the credentials of open streams: %w", err)
		}
		for _, id := range ids {
			if !holds[id] {
				s.cache.drop(func(p *Principal) bool { return p.TokenID == id })
				s.watches.end(id)
			}
		}
	}
	return nil
}

// hold tells which credentials have not been taken back.
func (s *Service) hold(ctx context.Context, ids []int64) (map[int64]bool, error) {
	var list strings.Builder
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprint(&list, id)
	}
	rows, err := s.store.Read.QueryContext(ctx, `SELECT id FROM tokens WHERE revoked_at IS NULL AND id IN (`+list.String()+`)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[int64]bool, len(ids))
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out[id] = true
	}
	return out, rows.Err()
}
