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
	cancel context.CancelFunc
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
	ctx, cancel := context.WithCancel(s.ctx)
	op.cancel = cancel
	if !s.admit(op) {
		cancel()
		return
	}
	go s.run(ctx, op, params)
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
	op := s.ops[id]
	delete(s.ops, id)
	s.room.Broadcast()
	s.mu.Unlock()
	if op != nil {
		op.cancel()
	}
}

// run executes an operation and sends what it yields, at the peer's pace.
func (s *socket) run(ctx context.Context, op *operation, params *graphql.RawParams) {
	defer op.cancel()
	defer func() {
		if r := recover(); r != nil {
			s.finish(op, s.presentPanic(ctx, r))
		}
	}()
	now := graphql.Now()
	params.ReadTime = graphql.TraceTiming{Start: now, End: now}
	broken := &failure{}
	ctx = graphql.StartOperationTrace(context.WithValue(ctx, failureKey{}, broken))
	opCtx, errs := s.exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		s.finish(op, s.exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs).Errors)
		return
	}
	responses, ctx := s.exec.DispatchOperation(ctx, opCtx)
	for {
		resp := responses(ctx)
		if resp == nil {
			s.finish(op, broken.list())
			return
		}
		if len(resp.Data) == 0 && len(resp.Errors) > 0 {
			s.finish(op, resp.Errors) // a request error: nothing was executed
			return
		}
		body, err := EncodeResponse(resp)
		if err != nil {
			s.finish(op, gqlerror.List{{Message: "internal error"}})
			return
		}
		if !s.enqueue(op, frame{opcode: opText, head: envelope(typeNext, op.jsonID), body: body, closing: '}'}, false) {
			return
		}
	}
}

// finish ends an operation with complete, or with error when there are errors.
func (s *socket) finish(op *operation, errs gqlerror.List) {
	f := frame{opcode: opText, body: completeMessage(op.jsonID)}
	if len(errs) > 0 {
		f = frame{opcode: opText, head: envelope(typeError, op.jsonID), body: encodeErrors(errs), closing: '}'}
	}
	s.enqueue(op, f, true)
}

// presentPanic turns a panic into an error as the executor presents it.
func (s *socket) presentPanic(ctx context.Context, r any) gqlerror.List {
	if p, ok := s.exec.(interface {
		PresentRecoveredError(ctx context.Context, err any) error
	}); ok {
		var ge *gqlerror.Error
		if errors.As(p.PresentRecoveredError(ctx, r), &ge) {
			return gqlerror.List{ge}
		}
	}
	return gqlerror.List{{Message: "internal error"}}
}
