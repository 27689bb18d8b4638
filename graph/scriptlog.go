package graph

import (
	"context"
	"io"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// logStream is one reader of the subscription scriptRunLog.
type logStream struct {
	*stream[*model.ScriptRunLogMessage]
	r    *Resolver
	id   int64
	sel  selection // of the run
	beat time.Duration
	next int64 // offset of the next piece
	told time.Time
	last apply.Run // as it was told last
}

// streamLog is the subscription scriptRunLog. It is executed for each reader:
// every one begins at an offset of its own.
func (r *Resolver) streamLog(ctx context.Context, id string, from *int64, beat time.Duration) (<-chan *model.ScriptRunLogMessage, error) {
	key, err := named(ident.Run, id)
	switch {
	case err != nil:
		return nil, err
	case r.Scripts == nil:
		return nil, errNoScript
	case deref(from) < 0:
		return nil, badArgument(deploy.CodeOutOfRange, "fromOffset", "must not be negative")
	}
	ls := &logStream{r: r, id: key, sel: selected(ctx).child("run"), beat: beat, next: deref(from)}
	first, err := r.Scripts.Read(ctx, key, ls.next, apply.LogMax)
	if err != nil {
		return nil, err // what is wrong with the request is told as such
	}
	return open(ctx, r.Logger, func(s *stream[*model.ScriptRunLogMessage]) error {
		ls.stream = s
		return ls.follow(first)
	}), nil
}

// follow sends pieces until the run has ended and all of its output was sent.
func (ls *logStream) follow(p apply.Piece) error {
	look := time.NewTicker(ls.r.ScriptLogEvery)
	defer look.Stop()
	for {
		if err := ls.tell(p); err != nil {
			return err
		}
		if p.End {
			return io.EOF
		}
		if p.Next == p.Offset { // nothing was there
			select {
			case <-look.C:
			case <-ls.ctx.Done():
				return errGone
			}
		}
		ls.next = p.Next
		var err error
		if p, err = ls.read(); err != nil {
			return err
		}
	}
}

// read reads the next piece. What may pass is waited for.
func (ls *logStream) read() (p apply.Piece, err error) {
	var refused error
	err = ls.until(func() error {
		p, err = ls.r.Scripts.Read(ls.ctx, ls.id, ls.next, apply.LogMax)
		if e, ok := deploy.AsError(err); ok && !e.Retryable {
			refused = err
			return nil
		}
		return err
	})
	if err == nil {
		err = refused
	}
	return p, err
}

// tell sends a piece that has something, a run that has changed, or a sign of
// life when it is time for one.
func (ls *logStream) tell(p apply.Piece) error {
	r := p.Run
	changed := ls.told.IsZero() || r.State != ls.last.State || (r.CancelAt == nil) != (ls.last.CancelAt == nil) || r.Problem != ls.last.Problem || p.End
	if p.Text == "" && !changed && time.Since(ls.told) < ls.beat {
		return nil
	}
	m := &model.ScriptRunLogMessage{Text: p.Text, Offset: p.Offset, Next: p.Next, At: ls.r.Fleet.Now()}
	err := ls.until(func() (err error) {
		m.Run, err = one(ls.r.load().runs(ls.ctx, []*apply.Run{r}, ls.sel))
		return err
	})
	if err != nil {
		return err
	}
	ls.told, ls.last = time.Now(), *r
	return ls.send(m, wstransport.Mark{})
}
