package wstransport

import (
	"encoding/binary"
	"sync"
	"time"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// frame is one websocket frame that waits to be written. head and tail belong
// to the socket, body may be shared by many and is never written to.
type frame struct {
	opcode     byte
	head, body []byte
	closing    byte // '}' after the body, 0 for none
}

func (f *frame) payloadLen() int {
	n := len(f.head) + len(f.body)
	if f.closing != 0 {
		n++
	}
	return n
}

// appendTo writes the frame in the form of RFC 6455, section 5.2: final,
// unmasked (a server's frames are never masked).
func (f *frame) appendTo(b []byte) []byte {
	b = append(b, 0x80|f.opcode)
	switch n := f.payloadLen(); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	b = append(b, f.head...)
	b = append(b, f.body...)
	if f.closing != 0 {
		b = append(b, f.closing)
	}
	return b
}

// A write gathers frames up to about writeChunk bytes.
const writeChunk = 32 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, writeChunk+4096); return &b }}

// ownAllowance is how many frames of its own (pongs, refusals) a socket may
// queue beyond its bound. A peer that provokes more without reading is cut.
const ownAllowance = 64

// enqueue queues a frame of an operation and waits for room in the queue. It
// reports false when socket or operation have ended. With last, the operation
// ends with this frame.
func (s *socket) enqueue(op *operation, f frame, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closing || op.ended {
			return false
		}
		if s.fits(&f) {
			break
		}
		s.room.Wait()
	}
	if last {
		delete(s.ops, op.id)
		op.ended = true
	}
	s.push(f)
	return true
}

// offer queues a frame of an operation if there is room now.
func (s *socket) offer(op *operation, f frame) reception {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing || op.ended:
		return gone
	case !s.fits(&f):
		return full
	}
	s.push(f)
	return accepted
}

// offerLast is offer for the frame that ends an operation; it reports whether
// the operation has ended.
func (s *socket) offerLast(op *operation, f frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing || op.ended:
	case !s.fits(&f):
		return false
	default:
		delete(s.ops, op.id)
		op.ended = true
		s.push(f)
	}
	return true
}

// settle waits until half of the queue is free, so that who was too slow for a
// group does not come back to be too slow at once. It reports false when the
// operation has ended.
func (s *socket) settle(op *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closing && !op.ended && (len(s.queue) > s.t.cfg.QueueFrames/2 || s.queued > s.t.cfg.QueueBytes/2) {
		s.room.Wait()
	}
	return !s.closing && !op.ended
}

// over tells whether an operation has ended.
func (s *socket) over(op *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return op.ended
}

// fits tells whether the queue has room for f; one frame always fits. s.mu is held.
func (s *socket) fits(f *frame) bool {
	return len(s.queue) == 0 || (len(s.queue) < s.t.cfg.QueueFrames && s.queued+f.payloadLen() <= s.t.cfg.QueueBytes)
}

// reply queues a frame of the socket's own. The reading goroutine calls it, so
// it never waits.
func (s *socket) reply(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
	case len(s.queue) >= s.t.cfg.QueueFrames+ownAllowance:
		s.cut()
	default:
		s.push(f)
	}
}

// push appends a frame and makes sure that a writer runs. s.mu is held.
func (s *socket) push(f frame) {
	s.queue = append(s.queue, f)
	s.queued += f.payloadLen()
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// write sends what is queued, several frames a system call, and ends when
// nothing is left.
func (s *socket) write() {
	conn := s.ws.NetConn()
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 4*writeChunk {
			*buf = (*buf)[:0]
			buffers.Put(buf)
		}
	}()
	for s.take(buf) {
		_ = conn.SetWriteDeadline(time.Now().Add(s.t.cfg.WriteTimeout))
		if _, err := conn.Write(*buf); err != nil {
			s.mu.Lock()
			s.cut()
			s.writing = false
			s.room.Broadcast()
			s.mu.Unlock()
			return
		}
	}
}

// take moves frames from the queue into buf and makes room. When nothing is
// left it ends the writer and reports false.
func (s *socket) take(buf *[]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := (*buf)[:0]
	n := 0
	for n < len(s.queue) && (n == 0 || len(b)+s.queue[n].payloadLen() <= writeChunk) {
		b = s.queue[n].appendTo(b)
		s.queued -= s.queue[n].payloadLen()
		s.queue[n] = frame{}
		n++
	}
	if n == len(s.queue) {
		s.queue = nil // an idle socket keeps no queue
	} else {
		s.queue = s.queue[n:]
	}
	s.writing = n > 0
	s.room.Broadcast()
	*buf = b
	return n > 0
}
