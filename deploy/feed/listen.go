package feed

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/lib/pq"
)

// The listener's connection is asked for a sign of life now and then: one that
// died without a word (a host that lost its power, a firewall that forgot it)
// would stay deaf for ever, and other replicas' events would come by the poll.
const (
	listenPing   = 15 * time.Second
	listenAnswer = 10 * time.Second
)

// listen wakes the feed at other replicas' commits until ctx ends. It returns
// at once and never fails: while there is no connection, polling goes on.
func (f *Feed) listen(ctx context.Context, address string) {
	line := &line{}
	listener := pq.NewDialListener(line, listenURL(address), 100*time.Millisecond, 10*time.Second, func(_ pq.ListenerEventType, err error) {
		if err != nil && ctx.Err() == nil {
			f.opts.Logger.Warn("the feed's listener has no connection; polling goes on", "error", err)
		}
		f.Wake(0)
	})
	context.AfterFunc(ctx, func() {
		// In this order: the listener holds its lock for as long as it waits for
		// the database.
		line.end()
		_ = listener.Close()
	})
	go func() {
		for n := range listener.NotificationChannel() {
			f.Wake(notified(n))
		}
	}()
	go func() {
		// It blocks until there is a first connection.
		if err := listener.Listen("slipway_feed"); err != nil && ctx.Err() == nil {
			f.opts.Logger.Warn("the feed cannot listen; polling goes on", "error", err)
		}
		tick := time.NewTicker(listenPing)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				late := time.AfterFunc(listenAnswer, line.cut)
				_ = listener.Ping() // without a connection the listener is making one
				late.Stop()
			}
		}
	}()
}

// notified is the position that a notification tells, 0 if it tells none: a nil
// one says that the connection was lost for a while.
func notified(n *pq.Notification) int64 {
	if n == nil {
		return 0
	}
	position, err := strconv.ParseInt(n.Extra, 10, 64)
	if err != nil {
		return 0
	}
	return position
}

// listenURL bounds how long a connect may take, unless the operator did.
func listenURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // the store has refused it before
	}
	q := u.Query()
	for name, value := range map[string]string{"connect_timeout": "10", "application_name": "slipway"} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// line dials the listener's connection and can cut it: lib/pq itself waits for
// an answer without limit.
type line struct {
	mu    sync.Mutex
	conn  net.Conn
	ended bool
}

// Dial is pq.Dialer's.
func (l *line) Dial(network, address string) (net.Conn, error) {
	return l.DialTimeout(network, address, 0)
}

// DialTimeout is pq.Dialer's.
func (l *line) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.conn = conn
	return conn, nil
}

// cut ends the connection; the listener notices and makes another.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// end cuts the connection and lets none be made.
func (l *line) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.cut()
}
