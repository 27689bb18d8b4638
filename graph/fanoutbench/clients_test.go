package fanoutbench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// process is a running server.
type process struct {
	b    *testing.B
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *json.Decoder
	addr string
}

func start(b *testing.B) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+filepath.Join(b.TempDir(), "bench.db"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &process{b: b, cmd: cmd, in: json.NewEncoder(in), out: json.NewDecoder(out)}
	p.addr = p.read().Addr
	return p
}

func (p *process) read() (s state) {
	p.b.Helper()
	if err := p.out.Decode(&s); err != nil {
		p.b.Fatal("the server has gone: ", err)
	}
	return s
}

func (p *process) do(o order) state {
	p.b.Helper()
	if err := p.in.Encode(o); err != nil {
		p.b.Fatal(err)
	}
	return p.read()
}

// document selects eight scalars of each event.
const document = `subscription($after: Cursor, $beat: Int) { deploymentEvents(after: $after, heartbeatSeconds: $beat) {
	... on DeploymentEventBatch { cursor events { id sequence phaseKey status state message source recordedAt } } } }`

// subscriber is one socket. The text of each event has one '~', so counting
// bytes counts events.
type subscriber struct {
	conn     net.Conn
	events   atomic.Int64
	messages atomic.Int64
	samples  []sample // of those that are asked for them
}

type sample struct {
	report int
	at     int64
}

// pause lets the other process work before it is looked at again.
func pause(d time.Duration) { <-time.After(d) }

// crowd is many subscribers.
type crowd struct {
	b    *testing.B
	subs []*subscriber
	wg   sync.WaitGroup
}

// gather opens n subscriptions of a transport; cursors may be nil. Every
// sampleth one takes times.
func gather(b *testing.B, p *process, path string, n, sampleth int, cursors []string) *crowd {
	b.Helper()
	c := &crowd{b: b, subs: make([]*subscriber, n)}
	slots, failed := make(chan struct{}, 32), make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			vars := map[string]any{"beat": 60}
			if cursors != nil {
				vars["after"] = cursors[i]
			}
			s, err := subscribe(p.addr, path, vars)
			if err != nil {
				failed <- err
				return
			}
			c.subs[i] = s
			c.wg.Go(func() { s.read(sampleth > 0 && i%sampleth == 0) })
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	b.Cleanup(c.leave)
	return c
}

func subscribe(addr, path string, vars map[string]any) (*subscriber, error) {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, ReadBufferSize: 1024, WriteBufferSize: 1024}
	ws, _, err := d.Dial("ws://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"connection_init"}`)); err != nil {
		return nil, err
	}
	if _, b, err := ws.ReadMessage(); err != nil || !strings.Contains(string(b), "connection_ack") {
		return nil, fmt.Errorf("no acknowledgement: %s %w", b, err)
	}
	msg := map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": document, "variables": vars}}
	return &subscriber{conn: ws.NetConn()}, ws.WriteJSON(msg)
}

func (s *subscriber) read(sampled bool) {
	buf := make([]byte, 16<<10)
	var f frames
	var rest []byte // of a number that is not whole yet
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		messages, events := f.payloads(buf[:n], func(payload []byte) int {
			if sampled {
				rest = s.sample(append(rest, payload...))
			}
			return bytes.Count(payload, []byte{'~'})
		})
		s.messages.Add(int64(messages))
		if events > 0 {
			s.events.Add(int64(events))
		}
	}
}

// frames takes a server's frames apart (RFC 6455, section 5.2), however they
// are cut by the connection.
type frames struct {
	header []byte
	left   uint64 // of a payload
}

// payloads counts the frames that begin in data and adds up what count says of
// their payloads.
func (f *frames) payloads(data []byte, count func([]byte) int) (begun, total int) {
	for len(data) > 0 {
		if f.left == 0 {
			f.header = append(f.header, data[0])
			data = data[1:]
			if len(f.header) < 2 {
				continue
			}
			wanted := 2
			switch f.header[1] {
			case 126:
				wanted = 4
			case 127:
				wanted = 10
			}
			switch {
			case len(f.header) < wanted:
				continue
			case wanted == 4:
				f.left = uint64(binary.BigEndian.Uint16(f.header[2:]))
			case wanted == 10:
				f.left = binary.BigEndian.Uint64(f.header[2:])
			default:
				f.left = uint64(f.header[1])
			}
			f.header = f.header[:0]
			begun++
			continue
		}
		n := min(uint64(len(data)), f.left)
		total += count(data[:n])
		data, f.left = data[n:], f.left-n
	}
	return begun, total
}

// sample notes when reports were seen, and gives back what is not whole yet.
func (s *subscriber) sample(data []byte) []byte {
	now := time.Now().UnixNano()
	for {
		i := bytes.IndexByte(data, '~')
		if i < 0 {
			return nil
		}
		end := bytes.IndexByte(data[i:], '|')
		if end < 0 {
			return append([]byte(nil), data[i:]...)
		}
		report := 0
		for _, d := range data[i+1 : i+end] {
			report = 10*report + int(d-'0')
		}
		s.samples = append(s.samples, sample{report, now})
		data = data[i+end:]
	}
}

func (c *crowd) leave() {
	for _, s := range c.subs {
		_ = s.conn.Close()
	}
	c.wg.Wait()
}

// least is how many events every subscriber has, all how many they have
// together.
func (c *crowd) least() (least, events, messages int64) {
	least = -1
	for _, s := range c.subs {
		n := s.events.Load()
		if least < 0 || n < least {
			least = n
		}
		events += n
		messages += s.messages.Load()
	}
	return least, events, messages
}

// await waits until every subscriber has n events, and no one has more.
func (c *crowd) await(n int64, limit time.Duration) time.Duration {
	c.b.Helper()
	began := time.Now()
	for {
		least, events, _ := c.least()
		if least >= n {
			if events != n*int64(len(c.subs)) {
				c.b.Fatalf("%d events were delivered, not %d", events, n*int64(len(c.subs)))
			}
			return time.Since(began)
		}
		if time.Since(began) > limit {
			c.b.Fatalf("a subscriber has %d events of %d after %v", least, n, limit)
		}
		pause(time.Millisecond)
	}
}
