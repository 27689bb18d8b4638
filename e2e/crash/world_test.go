package crash

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// world is what outlives a core: the cloud, the machines in it, the database,
// and the door at which the next core will answer.
type world struct {
	t        *testing.T
	clock    clock
	sim      *vpcsim.Simulator
	cloud    string
	database string
	boot     time.Duration // deadline of the first boot
	listener *net.TCPListener
	door     string
	client   *http.Client
	cvms     *controllers // nil: no node is for a cluster
	fleet    *fleet
	log      *os.File     // what the cores log
	flying   atomic.Int64 // calls to the cloud that are under way

	mu     sync.Mutex
	child  *child
	starts int
	killed []string
	past   int // points that dead cores have passed
	next   func() stop
	told   func(point string) // hears every point; may be nil
	// stopped hears where a core stands still, before it is killed; may be nil.
	stopped func(point string)
	armed   map[string]string // faults that must be explained, by id: their reason
}

// stop says where the next core is to stand still.
type stop struct {
	after  int
	points []string
}

// delays are on the fast clock. Each is long enough for the change to be seen
// under way by whoever looks right after it was asked for.
var delays = vpcsim.Delays{
	Provision: 8 * time.Second, Start: 4 * time.Second, Stop: 4 * time.Second, SoftStop: 8 * time.Second, Restart: 4 * time.Second,
	Reinitialize: 8 * time.Second, Delete: 6 * time.Second, VNI: 4 * time.Second,
}

func newWorld(t *testing.T, database string, change ...func(*vpcsim.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), database: database, boot: 20 * time.Hour, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	w.fleet = &fleet{world: w, machines: map[string]*machine{}}
	options := vpcsim.Options{Clock: w.clock, Delays: delays, Hardware: w.fleet}
	for _, c := range change {
		c(&options)
	}
	var err error
	if w.sim, err = vpcsim.New(options); err != nil {
		t.Fatal(err)
	}
	if w.log, err = os.CreateTemp(t.TempDir(), "core-*.log"); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_machines/{ip}", w.fleet.login)
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w.flying.Add(1)
		defer w.flying.Add(-1)
		// A call that was sent is carried out, whatever becomes of the caller.
		w.sim.ServeHTTP(rw, r.WithContext(context.WithoutCancel(r.Context())))
	})
	server := httptest.NewServer(mux)
	w.cloud = server.URL
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.listener = listener.(*net.TCPListener)
	w.door = "http://" + listener.Addr().String()
	w.next = func() stop { return stop{} }
	t.Cleanup(func() {
		w.kill()
		w.sim.Close() // switches every machine off
		w.fleet.wait()
		server.Close()
		_ = w.listener.Close()
		if t.Failed() {
			w.tail()
		}
		_ = w.log.Close()
	})
	return w
}

// tail shows the end of what the cores logged.
func (w *world) tail() {
	text, err := os.ReadFile(w.log.Name())
	if err != nil {
		w.t.Log(err)
	}
	const enough = 12_000
	w.t.Logf("killed %d times: %q\ncores' log, its end:\n%s", len(w.killed), w.killed, text[max(0, len(text)-enough):])
}

// child is one life of the core.
type child struct {
	cmd  *exec.Cmd
	life io.Closer     // its standard input: closed, it ends
	done chan struct{} // all that it told is read
	told int
}

// start begins a life of the core.
func (w *world) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin(w.next())
}

// begin starts a child. The lock is held.
func (w *world) begin(at stop) {
	tell, out, err := os.Pipe()
	w.must(err)
	door, err := w.listener.File()
	w.must(err)
	cmd := exec.Command(os.Args[0]) // ourselves
	cmd.Env = append(os.Environ(), envDatabase+"="+w.database, envCloud+"="+w.cloud, envEpoch+"="+w.clock.String(),
		envAfter+"="+strconv.Itoa(at.after), envPoints+"="+strings.Join(at.points, "\n"), envBoot+"="+w.boot.String(), envCVMs+"="+w.cvms.String())
	cmd.ExtraFiles = []*os.File{out, door}
	cmd.Stdout, cmd.Stderr = w.log, w.log
	life, err := cmd.StdinPipe()
	w.must(err)
	w.must(cmd.Start())
	w.must(errors.Join(out.Close(), door.Close()))
	c := &child{cmd: cmd, life: life, done: make(chan struct{})}
	w.child = c
	w.starts++
	go w.listen(c, tell)
}

func (w *world) must(err error) {
	if err != nil {
		panic(err)
	}
}

// listen hears what a child tells, and kills it where it stands still.
func (w *world) listen(c *child, tell *os.File) {
	defer close(c.done)
	defer tell.Close()
	for lines := bufio.NewScanner(tell); lines.Scan(); {
		word, point, _ := strings.Cut(lines.Text(), " ")
		w.mu.Lock()
		c.told++
		heard := w.told
		w.mu.Unlock()
		if heard != nil {
			heard(point)
		}
		if word == "stop" {
			w.mu.Lock()
			w.killed = append(w.killed, point)
			w.mu.Unlock()
			if w.stopped != nil {
				w.stopped(point)
			}
			go w.replace(c)
		}
	}
}

// replace kills a child and starts the next.
func (w *world) replace(c *child) {
	end(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child == c {
		w.past += c.told
		w.begin(w.next())
	}
}

// crash kills the present child, wherever it is, and starts the next.
func (w *world) crash() {
	w.mu.Lock()
	c := w.child
	w.killed = append(w.killed, "wherever it was")
	w.mu.Unlock()
	w.replace(c)
}

// end kills a child (SIGKILL) and waits until it is no more.
func end(c *child) {
	_ = c.cmd.Process.Kill()
	<-c.done
	_ = c.cmd.Wait()
	_ = c.life.Close()
}

// kill ends the present child for good.
func (w *world) kill() {
	w.mu.Lock()
	c := w.child
	w.child = nil
	w.mu.Unlock()
	if c != nil {
		end(c)
	}
}

// errNoAnswer is a question that the context's end left without an answer.
var errNoAnswer = errors.New("no answer")

// ask puts a question to whichever core lives, until one answers.
func (w *world) ask(ctx context.Context, in request) (answer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	for {
		out, err := w.post(ctx, body)
		if err == nil {
			return out, nil
		}
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return answer{}, fmt.Errorf("%w to %s: %w", errNoAnswer, in.Verb, err)
		case <-pause.C:
		}
	}
}

func (w *world) post(ctx context.Context, body []byte) (out answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.door, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	response, err := w.client.Do(r)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return out, err
	}
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("%d %s", response.StatusCode, text)
	}
	return out, json.Unmarshal(text, &out)
}
