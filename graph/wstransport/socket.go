package wstransport

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
)

// socket is one connection. One goroutine reads; a writer runs only while
// frames wait; an operation has a goroutine of its own while something is
// executed for it alone.
type socket struct {
	t    *Transport
	ws   *websocket.Conn
	exec graphql.GraphExecutor

	// request is the upgrade's, kept until connection_init has been decided on.
	request *http.Request
	// ctx is the parent of all operations; set anew by connection_init. Only
	// the reading goroutine uses it after start.
	ctx    context.Context
	cancel context.CancelFunc

	initTimer *time.Timer
	pingTimer *time.Timer
	expiry    func() bool // stops watching the init context

	mu      sync.Mutex
	room    *sync.Cond // on mu: the queue has room, or somebody has ended
	acked   bool
	inited  bool
	closing bool // a close frame is queued or the socket is cut: nothing more is queued
	writing bool
	queue   []frame
	queued  int // payload bytes in queue
	ops     map[string]*operation
}

func newSocket(ctx context.Context, t *Transport, ws *websocket.Conn, r *http.Request, exec graphql.GraphExecutor) *socket {
	s := &socket{t: t, ws: ws, exec: exec, request: r}
	s.room = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(ctx)
	ws.SetReadLimit(t.cfg.ReadLimit)
	s.heard()
	ws.SetPingHandler(func(data string) error {
		s.heard()
		s.reply(frame{opcode: opPong, body: []byte(data)})
		return nil
	})
	ws.SetPongHandler(func(string) error { s.heard(); return nil })
	// The answer to the peer's close frame goes through the queue like all else.
	ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = websocket.CloseNormalClosure
		}
		s.close(code, "")
		return nil
	})
	return s
}

// heard moves the read deadline: the peer is alive.
func (s *socket) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		_ = s.ws.SetReadDeadline(time.Now().Add(2 * s.t.cfg.PingInterval))
	}
}

// serve reads until the socket ends, then cleans up.
func (s *socket) serve() {
	s.mu.Lock()
	s.initTimer = time.AfterFunc(s.t.cfg.InitTimeout, s.initTimedOut)
	s.pingTimer = time.AfterFunc(s.t.cfg.PingInterval, s.ping)
	s.mu.Unlock()
	defer s.end()
	for {
		kind, data, err := s.ws.ReadMessage()
		if err != nil {
			s.drain(err)
			return
		}
		s.heard()
		if s.isClosing() {
			continue // only the peer's close frame matters now
		}
		if kind != websocket.TextMessage {
			s.close(CloseBadMessage, "Messages must be text")
			continue
		}
		s.handle(data)
	}
}

func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// drain reads on, for CloseTimeout at most, when the peer broke the websocket
// protocol or the read limit: gorilla has sent a close frame, and closing a
// connection with unread input would make the kernel throw it away.
func (s *socket) drain(err error) {
	var ce *websocket.CloseError
	var ne net.Error
	if errors.As(err, &ce) || errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	s.mu.Lock()
	s.closing = true
	s.stopOps()
	s.queue, s.queued = nil, 0
	s.mu.Unlock()
	_ = s.ws.SetReadDeadline(time.Now().Add(s.t.cfg.CloseTimeout))
	_, _ = io.CopyN(io.Discard, s.ws.NetConn(), 64<<20)
}

// end releases everything. It runs once, when reading has ended: a close frame
// that waits to be written still goes out.
func (s *socket) end() {
	_ = s.ws.NetConn().SetWriteDeadline(time.Now().Add(s.t.cfg.CloseTimeout))
	s.mu.Lock()
	if !s.closing {
		s.closing, s.queue, s.queued = true, nil, 0
	}
	s.stopOps()
	for s.writing {
		s.room.Wait()
	}
	s.cut()
	s.initTimer.Stop()
	s.pingTimer.Stop()
	expiry := s.expiry
	s.mu.Unlock()
	if expiry != nil {
		expiry()
	}
	s.t.remove(s)
}

// handle acts on one message.
func (s *socket) handle(data []byte) {
	m, err := decodeMessage(data)
	if err != nil {
		s.close(CloseBadMessage, err.Error())
		return
	}
	switch m.Type {
	case typeInit:
		s.init(m.Payload)
	case typePing:
		b := []byte(`{"type":"pong"}`)
		if len(m.Payload) > 0 {
			b = append(append([]byte(`{"type":"pong","payload":`), m.Payload...), '}')
		}
		s.reply(frame{opcode: opText, body: b})
	case typePong:
	case typeSubscribe:
		s.subscribe(*m.ID, m.Payload)
	case typeComplete:
		s.forget(*m.ID)
	}
}

// init decides on a connection_init.
func (s *socket) init(payload json.RawMessage) {
	s.mu.Lock()
	again := s.inited
	s.inited = true
	s.mu.Unlock()
	if again {
		s.close(CloseTooManyInits, "Too many initialisation requests")
		return
	}
	s.initTimer.Stop()
	r := s.request
	s.request = nil
	if s.t.cfg.Init != nil {
		ctx, err := s.t.cfg.Init(s.ctx, r, payload)
		if err != nil {
			var ce *CloseError
			if !errors.As(err, &ce) {
				ce = &CloseError{Code: CloseForbidden, Reason: "Forbidden"}
			}
			s.close(ce.Code, ce.Reason)
			return
		}
		s.ctx = ctx
		stop := context.AfterFunc(ctx, func() { s.close(CloseForbidden, "Forbidden") })
		s.mu.Lock()
		s.expiry = stop
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.acked = true
	if !s.closing {
		s.push(frame{opcode: opText, body: []byte(`{"type":"connection_ack"}`)})
	}
	s.mu.Unlock()
}

func (s *socket) initTimedOut() {
	s.mu.Lock()
	late := !s.inited
	s.mu.Unlock()
	if late {
		s.close(CloseInitTimeout, "Connection initialisation timeout")
	}
}

// ping asks the peer for a sign of life, on the websocket level and, once
// acknowledged, on the protocol's: clients may see either one only.
func (s *socket) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	// One ping in the queue is enough: a peer that does not read gets no more.
	if len(s.queue) == 0 {
		s.push(frame{opcode: opPing})
		if s.acked {
			s.push(frame{opcode: opText, body: []byte(`{"type":"ping"}`)})
		}
	}
	s.pingTimer.Reset(s.t.cfg.PingInterval)
}

// close sends a close frame after what is queued by operations has been
// dropped, ends all operations, and gives the peer CloseTimeout to answer.
func (s *socket) close(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.closing = true
	s.stopOps()
	s.queue, s.queued = nil, 0
	_ = s.ws.SetReadDeadline(time.Now().Add(s.t.cfg.CloseTimeout))
	s.push(frame{opcode: opClose, body: websocket.FormatCloseMessage(code, clip(reason, 123))})
}

// abort cuts the connection without a word.
func (s *socket) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
}

// cut is abort with s.mu held.
func (s *socket) cut() {
	s.closing = true
	s.stopOps()
	s.queue, s.queued = nil, 0
	_ = s.ws.Close()
}

// stopOps ends all operations and wakes whoever waits for room. s.mu is held.
func (s *socket) stopOps() {
	s.cancel()
	for _, op := range s.ops {
		op.end()
	}
	s.ops = nil
	s.room.Broadcast()
}

// clip cuts a reason to n bytes (RFC 6455, section 5.5: a control frame has at
// most 125 bytes), between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
