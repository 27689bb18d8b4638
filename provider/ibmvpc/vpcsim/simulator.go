package vpcsim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Simulator is one simulated account in one region. It is an http.Handler and is safe for concurrent use; its state
// lives in memory only.
type Simulator struct {
	opts  Options
	clock Clock
	log   *slog.Logger
	mux   *http.ServeMux
	ops   map[string]*operation

	mu      sync.Mutex // guards everything below
	closed  bool
	seq     int64
	timers  map[int64]func() bool
	changed chan struct{} // closed and replaced at every change

	catalogue      catalogue
	reservedIPs    map[string]*reservedIP
	vnis           map[string]*vni
	servers        map[string]*server
	keys           map[string]*sshKey
	securityGroups map[string]*securityGroup
	records        map[string]*dnsRecord
	recordLists    map[string][]*dnsRecord // the records of each type in order of creation
	usersIPs       int                     // how many of the reserved IPs are the users'
	taken          taken
	takenNames     map[string]bool // names of deleted servers, while Delays.NameRelease lasts
	tokens         map[string]time.Time
	faults         []*Fault
	draws          map[string]int // of random faults
	counts         counters

	outbox   []func(Hardware) // power changes not yet told, in order
	draining bool
	drained  *sync.Cond // on mu: draining has become false
}

// New returns a running simulator of the account that opts describe.
func New(opts Options) (*Simulator, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("vpcsim: %w", err)
	}
	s := &Simulator{
		opts: opts, clock: opts.Clock, log: opts.Logger,
		timers: map[int64]func() bool{}, changed: make(chan struct{}),
		reservedIPs: map[string]*reservedIP{}, vnis: map[string]*vni{}, servers: map[string]*server{},
		keys: map[string]*sshKey{}, securityGroups: map[string]*securityGroup{}, records: map[string]*dnsRecord{},
		recordLists: map[string][]*dnsRecord{}, taken: taken{},
		takenNames: map[string]bool{}, tokens: map[string]time.Time{}, draws: map[string]int{},
		counts: counters{calls: map[string]int{}},
	}
	s.drained = sync.NewCond(&s.mu)
	if err := s.fillCatalogue(); err != nil {
		return nil, fmt.Errorf("vpcsim: %w", err)
	}
	s.routes()
	return s, nil
}

// Close stops the simulated time and takes the power from every machine that has it; when it returns, the hardware has
// been told. Calls after Close are answered with 503. Hardware must not call Close.
func (s *Simulator) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		for _, stop := range s.timers {
			stop()
		}
		s.timers = map[int64]func() bool{}
		for _, sv := range s.servers {
			s.powerOff(sv)
		}
		s.notify()
	}
	s.mu.Unlock()
	s.drain()
	s.mu.Lock()
	for s.draining { // another goroutine is telling the hardware
		s.drained.Wait()
	}
	s.mu.Unlock()
}

// Wait returns nil as soon as cond holds for the state, or the context's error. It does not poll: cond is called
// again after every change.
func (s *Simulator) Wait(ctx context.Context, cond func(State) bool) error {
	for {
		s.mu.Lock()
		changed, state := s.changed, s.state()
		s.mu.Unlock()
		if cond(state) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the simulator: %w", ctx.Err())
		}
	}
}

// notify wakes every Wait. The lock is held.
func (s *Simulator) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// after runs f under the lock once d has passed. The lock is held.
func (s *Simulator) after(d time.Duration, f func()) {
	id := s.next()
	s.timers[id] = s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		if _, live := s.timers[id]; live && !s.closed {
			delete(s.timers, id)
			f()
			s.notify()
		}
		s.mu.Unlock()
		s.drain()
	})
}

// drain tells the hardware what has happened, outside the lock and in order. When another goroutine is at it already,
// that one will see to the rest.
func (s *Simulator) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return
	}
	s.draining = true
	for len(s.outbox) > 0 {
		tell := s.outbox[0]
		s.outbox = s.outbox[1:]
		if s.opts.Hardware == nil {
			continue
		}
		s.mu.Unlock()
		tell(s.opts.Hardware)
		s.mu.Lock()
	}
	s.draining = false
	s.drained.Broadcast()
}

// next gives serial numbers. The lock is held.
func (s *Simulator) next() int64 {
	s.seq++
	return s.seq
}

// now is the present, in UTC and whole milliseconds as the API shows times.
func (s *Simulator) now() timestamp { return timestamp(s.clock.Now().UTC().Truncate(time.Millisecond)) }

// timestamp is a time in the API's form, RFC 3339 with milliseconds.
type timestamp time.Time

// MarshalText writes the form that the SDK's fixtures show.
func (t timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00"), nil
}

// sortKey orders times as text.
func (t timestamp) sortKey() string { return time.Time(t).Format("2006-01-02T15:04:05.000") }

// base is embedded by everything that has an id and a place in lists.
type base struct {
	id      string
	seq     int64
	created timestamp
}

func (b base) serial() int64 { return b.seq }

func (s *Simulator) newBase(id string) base {
	return base{id: id, seq: s.next(), created: s.now()}
}

// Id prefixes: regional objects carry the region's, zonal ones the zone's. Those of us-south are IBM's; the others
// are made from the name, since only equality matters.
func (s *Simulator) regionalID() string { return s.regionPrefix() + "-" + uuid.NewString() }

func (s *Simulator) zonalID(zone string) string { return s.zonePrefix(zone) + "-" + uuid.NewString() }

// fixedID is the id of something that the options configure: the same in every run.
func (s *Simulator) fixedID(prefix, kind, name string) string {
	return prefix + "-" + uuid.NewSHA1(uuid.NameSpaceURL, []byte("vpcsim/"+s.opts.Region+"/"+kind+"/"+name)).String()
}

func (s *Simulator) regionPrefix() string {
	if s.opts.Region == DefaultRegion {
		return "r006"
	}
	sum := sha256.Sum256([]byte(s.opts.Region))
	return fmt.Sprintf("r%03d", 100+int(sum[0]))
}

func (s *Simulator) zonePrefix(zone string) string {
	for i, name := range []string{"us-south-1", "us-south-2", "us-south-3"} {
		if zone == name {
			return fmt.Sprintf("07%d7", i+1)
		}
	}
	sum := sha256.Sum256([]byte(zone))
	return fmt.Sprintf("%02x%02x", sum[0]|0x10, sum[1])
}

// account is the account in every CRN.
const account = "aa2432b1fa4d4ace891e9b80fc104e34"

// crn builds a cloud resource name; place is a zone or the region.
func crn(place, kind, id string) string {
	return "crn:v1:bluemix:public:is:" + place + ":a/" + account + "::" + kind + ":" + id
}

var nameWords = strings.Fields(`amber birch cedar delta ember fjord grove heron inlet juniper kelp lagoon maple nectar
	onyx pebble quartz ridge sable tundra umber velvet willow xenon yarrow zephyr`)

// randomName is what the API calls "a hyphenated list of randomly-selected words", different from every taken one.
func randomName(taken func(string) bool) string {
	for {
		words := make([]string, 4)
		for i := range words {
			words[i] = nameWords[rand.IntN(len(nameWords))] //nolint:gosec // a name is no secret
		}
		if name := strings.Join(words, "-"); !taken(name) {
			return name
		}
	}
}
