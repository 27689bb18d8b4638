package scripts

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

const (
	testToken = "slr_TestToken-0123456789_abcdefghijklmnop"
	testIP    = "10.240.0.10"
)

// received is one request to the report endpoint.
type received struct {
	at     time.Time
	raw    string
	token  string
	status int // our answer
	report struct {
		ServerIP       string         `json:"server_ip"`
		Phase          string         `json:"phase"`
		Status         string         `json:"status"`
		Message        string         `json:"message"`
		Progress       *int           `json:"progress"`
		Details        map[string]any `json:"details"`
		LogTail        *string        `json:"log_tail"`
		OccurredAt     time.Time      `json:"occurred_at"`
		IdempotencyKey string         `json:"idempotency_key"`
		Token          string         `json:"token"`
	}
}

// line is a report as the golden files show it.
func (r received) line() string {
	s := r.report.Phase + " " + r.report.Status
	if r.report.Progress != nil {
		s += fmt.Sprintf(" %d%%", *r.report.Progress)
	}
	return s + ": " + r.report.Message
}

// slipwayd stands for the server: the endpoints of the boot and of the reports.
type slipwayd struct {
	url    string
	addr   string
	server *http.Server

	mu      sync.Mutex
	reports []received
	config  nodeconfig.Config
	images  map[string][]byte
	scripts map[string][]byte
	gets    []string // method, path and Range header of the other requests
	// answer decides about a report; nil accepts.
	answer func(n int, r *received) (status int, header map[string]string, body string)
	// image may take over a request for an image; it returns whether it did.
	image func(n int, w http.ResponseWriter, r *http.Request, content []byte) bool
	// boot may take over any other request but images, the same way.
	boot    func(w http.ResponseWriter, r *http.Request) bool
	imaged  int
	arrived chan struct{} // gets a token, if there is room, for every report
}

func newSlipwayd(t *testing.T) *slipwayd {
	t.Helper()
	d := &slipwayd{images: map[string][]byte{}, scripts: map[string][]byte{}, arrived: make(chan struct{}, 1000)}
	for _, s := range All() {
		d.scripts[s.Name] = s.Content
	}
	d.start(t, "127.0.0.1:0")
	return d
}

func (d *slipwayd) start(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	d.url = "http://" + d.addr
	server := &http.Server{Handler: http.HandlerFunc(d.serve)}
	d.server = server
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(d.stop)
}

func (d *slipwayd) stop() { _ = d.server.Close() }

func (d *slipwayd) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/status/phase" {
		d.report(w, r)
		return
	}
	d.mu.Lock()
	d.gets = append(d.gets, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	hook, boot := d.image, d.boot
	d.mu.Unlock()
	if boot != nil && boot(w, r) {
		return
	}
	switch path, name := "", r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; {
	case strings.HasPrefix(r.URL.Path, "/boot/scripts/"):
		path = name
		content, ok := d.scripts[path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	case strings.HasPrefix(r.URL.Path, "/boot/images/"):
		content, ok := d.images[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		d.mu.Lock()
		d.imaged++
		n := d.imaged
		d.mu.Unlock()
		if hook == nil || !hook(n, w, r, content) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
		}
	case r.URL.Path == "/boot/server/"+testIP && r.URL.Query().Get("format") == "sh":
		if r.Header.Get("Authorization") != "Bearer "+testToken {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		text, err := d.config.Shell()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(text)
	default:
		http.NotFound(w, r)
	}
}

func (d *slipwayd) report(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	got := received{at: time.Now(), raw: string(body)}
	if err := json.Unmarshal(body, &got.report); err != nil {
		http.Error(w, "not JSON: "+err.Error(), http.StatusBadRequest)
		got.status = http.StatusBadRequest
		got.report.Message = "NOT JSON: " + err.Error()
	}
	got.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if got.token == "" {
		got.token = got.report.Token
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() {
		d.reports = append(d.reports, got)
		select {
		case d.arrived <- struct{}{}:
		default:
		}
	}()
	if got.status != 0 {
		return
	}
	got.status = http.StatusOK
	text := got.report.Phase + " " + got.report.Status + " accepted"
	switch {
	case got.token != testToken:
		got.status, text = http.StatusUnauthorized, "who are you"
	case d.answer != nil:
		status, header, body := d.answer(len(d.reports), &got)
		if status == 0 { // drop the connection without an answer
			got.status = 0
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		for k, v := range header {
			w.Header().Set(k, v)
		}
		if body != "" {
			text = body
		}
		got.status = status
	}
	w.WriteHeader(got.status)
	_, _ = io.WriteString(w, text+"\n")
}

// accepted returns the reports that were answered with 200, heartbeats (the same
// key again) left out.
func (d *slipwayd) accepted() []received {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []received
	seen := map[string]bool{}
	for _, r := range d.reports {
		if r.status == http.StatusOK && !seen[r.report.IdempotencyKey] {
			seen[r.report.IdempotencyKey] = true
			out = append(out, r)
		}
	}
	return out
}

func (d *slipwayd) lines() string {
	var b strings.Builder
	for _, r := range d.accepted() {
		b.WriteString(r.line() + "\n")
	}
	return b.String()
}

func (d *slipwayd) all() []received {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]received(nil), d.reports...)
}
