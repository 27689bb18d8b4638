package wstransport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// operation is one subscribe that has not ended.
type operation struct {
	id     string
	jsonID []byte
	head   []byte // of its next messages

	// Guarded by the socket's lock.
	ended  bool
	cancel *context.CancelFunc // of what executes for it; nil while nothing does
	member *member             // if it is shared
}

// end stops what works for an operation that is over. The socket's lock is held.
func (op *operation) end() {
	op.ended = true
	if op.cancel != nil {
		(*op.cancel)()
	}
	if op.member != nil {
		go op.member.leave() // takes a group's lock, which comes before the socket's
	}
}

// failure is why an operation's stream broke, told from within.
type failure struct {
	mu   sync.Mutex
	errs gqlerror.List
}

type failureKey struct{}

// Fail tells that the stream of the operation that ctx belongs to has broken:
// when it ends, the peer gets the error in place of a complete, which would
// mean that nothing more is to come. Of several errors the first counts.
func Fail(ctx context.Context, err *gqlerror.Error) {
	f, ok := ctx.Value(failureKey{}).(*failure)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errs == nil {
		f.errs = gqlerror.List{err}
	}
}

func (f *failure) list() gqlerror.List {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs
}

// subscribe starts an operation, of any kind.
func (s *socket) subscribe(id string, payload json.RawMessage) {
	params, err := decodeParams(payload)
	if err != nil {
		s.close(CloseBadMessage, err.Error())
		return
	}
	op := &operation{id: id}
	op.jsonID, _ = json.Marshal(id)
	op.head = envelope(typeNext, op.jsonID)
	base := s.ctx
	ctx, cancel := context.WithCancel(base)
	op.cancel = &cancel
	if !s.admit(op) {
		cancel()
		return
	}
	go s.run(base, ctx, &cancel, op, params)
}

// admit registers an operation, if it may run.
func (s *socket) admit(op *operation) bool {
	s.mu.Lock()
	acked, dup, full := s.acked, s.ops[op.id] != nil, len(s.ops) >= s.t.cfg.MaxOperations
	if acked && !dup && !full && !s.closing {
		if s.ops == nil {
			s.ops = map[string]*operation{}
		}
		s.ops[op.id] = op
		s.mu.Unlock()
		return true
	}
	s.mu.Unlock()
	switch {
	case !acked:
		s.close(CloseUnauthorized, "Unauthorized")
	case dup:
		s.close(CloseDuplicateID, "Subscriber for "+op.id+" already exists")
	case full:
		// Not a fault of the protocol: the operation alone is refused.
		s.reply(frame{opcode: opText, head: envelope(typeError, op.jsonID), body: encodeErrors(gqlerror.List{{
			Message:    fmt.Sprintf("at most %d operations may run on one connection", s.t.cfg.MaxOperations),
			Extensions: map[string]any{"code": "RATE_LIMITED"},
		}}), closing: '}'})
	}
	return false
}

// forget ends an operation at the peer's wish: nothing more is sent for it.
func (s *socket) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.ops[id]; op != nil {
		delete(s.ops, id)
		op.end()
	}
	s.room.Broadcast()
}

// run executes an operation, or finds it a group.
func (s *socket) run(base, ctx context.Context, cancel *context.CancelFunc, op *operation, params *graphql.RawParams) {
	shared := false
	defer func() {
		if r := recover(); r != nil {
			s.finish(op, presentPanic(ctx, s.exec, r))
		}
		if !shared {
			s.relax(op, cancel)
		}
	}()
	now := graphql.Now()
	params.ReadTime = graphql.TraceTiming{Start: now, End: now}
	broken := &failure{}
	opTrace := graphql.StartOperationTrace(context.WithValue(ctx, failureKey{}, broken))
	opCtx, errs := s.exec.CreateOperationContext(opTrace, params)
	if len(errs) > 0 {
		s.finish(op, s.exec.DispatchError(graphql.WithOperationContext(opTrace, opCtx), errs).Errors)
		return
	}
	if s.t.cfg.Share != nil {
		if plan := s.t.cfg.Share(opTrace, opCtx); plan != nil {
			shared = true
			s.share(base, ctx, cancel, op, params, plan)
			return
		}
	}
	responses, dispatched := s.exec.DispatchOperation(opTrace, opCtx)
	s.stream(dispatched, op, responses, broken)
}

// share makes an operation a member of its group, after what it is to get
// before.
func (s *socket) share(base, ctx context.Context, cancel *context.CancelFunc, op *operation, params *graphql.RawParams, plan *Plan) {
	m := &member{s: s, op: op, base: base, shape: &shape{key: plan.Key, params: *params, head: plan.Head, piece: plan.Piece, context: plan.Context, exec: s.exec}}
	l := leg{asked: plan.Begin != BeginNow, untold: plan.Begin == BeginReplay}
	switch plan.Begin {
	case BeginNow:
		m.pos = plan.Head()
	case BeginReplay:
		m.pos = plan.Position
	case BeginSnapshot:
		m.pos = -1
	}
	s.mu.Lock()
	op.member = m
	s.mu.Unlock()
	m.travel(ctx, cancel, l, nil, 0)
}

// stream sends what an execution yields, to its end and at the peer's pace.
func (s *socket) stream(ctx context.Context, op *operation, responses graphql.ResponseHandler, broken *failure) {
	for {
		resp := responses(ctx)
		if resp == nil {
			s.finish(op, broken.list())
			return
		}
		if !s.pass(op, resp) {
			return
		}
	}
}

// pass sends a response when there is room. It reports false when the
// operation has ended, with this response or before.
func (s *socket) pass(op *operation, resp *graphql.Response) bool {
	if len(resp.Data) == 0 && len(resp.Errors) > 0 {
		s.finish(op, resp.Errors) // a request error: nothing was executed
		return false
	}
	body, err := EncodeResponse(resp)
	if err != nil {
		s.finish(op, gqlerror.List{{Message: "internal error"}})
		return false
	}
	return s.enqueue(op, frame{opcode: opText, head: op.head, body: body, closing: '}'}, false)
}

// revive gives a member's operation a context to execute under once more; ok
// is false when it has ended.
func (s *socket) revive(m *member) (ctx context.Context, cancel *context.CancelFunc, ok bool) {
	ctx, stop := context.WithCancel(m.base)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.op.ended {
		stop()
		return nil, nil, false
	}
	m.op.cancel = &stop
	return ctx, &stop, true
}

// relax ends an execution, after which the operation may go on without one.
func (s *socket) relax(op *operation, cancel *context.CancelFunc) {
	(*cancel)()
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.cancel == cancel {
		op.cancel = nil
	}
}

// endFrame is an operation's last message: complete, or error when there are
// errors.
func endFrame(op *operation, errs gqlerror.List) frame {
	if len(errs) > 0 {
		return frame{opcode: opText, head: envelope(typeError, op.jsonID), body: encodeErrors(errs), closing: '}'}
	}
	return frame{opcode: opText, body: completeMessage(op.jsonID)}
}

// finish ends an operation.
func (s *socket) finish(op *operation, errs gqlerror.List) { s.enqueue(op, endFrame(op, errs), true) }

// presentPanic turns a panic into an error as the executor presents it.
func presentPanic(ctx context.Context, exec graphql.GraphExecutor, r any) gqlerror.List {
	if p, ok := exec.(interface {
		PresentRecoveredError(ctx context.Context, err any) error
	}); ok {
		var ge *gqlerror.Error
		if errors.As(p.PresentRecoveredError(ctx, r), &ge) {
			return gqlerror.List{ge}
		}
	}
	return gqlerror.List{{Message: "internal error"}}
}
