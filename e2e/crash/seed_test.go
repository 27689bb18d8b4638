package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const (
	envSeed = "SLIPWAY_CRASH_SEED" // repeats the run of one seed
	envRuns = "SLIPWAY_CRASH_RUNS" // how many runs; defaultRuns if empty
)

const defaultRuns = 20

// plan is what happens in the run of a seed. The threads of a run still race:
// the same seed gives the same plan, not the same interleaving.
type plan struct {
	seed     uint64
	postgres bool
	boot     time.Duration // deadline of the first boot
	taken    time.Duration // for how long the name of a deleted server stays taken
	faults   []planned     // of the cloud
	kills    []stop
	nodes    []nodePlan
}

// planned is a fault, and the failure that it may lead to.
type planned struct {
	reason string
	fault  vpcsim.Fault
}

type nodePlan struct {
	name         string
	habits       []habit
	cancelAfter  int // points; 0 = it is not canceled
	immediate    bool
	retries      int
	reinitialize bool
	again        bool // deployed again after its cleanup
}

// creates are the calls that must not be made twice, changes the others that
// change something.
var (
	creates = []string{"CreateBareMetalServer", "CreateVirtualNetworkInterface", "CreateSubnetReservedIP", "CreateResourceRecord", "ReplaceBareMetalServerInitialization"}
	changes = []string{"StopBareMetalServer", "DeleteBareMetalServer", "DeleteVirtualNetworkInterfaces", "DeleteSubnetReservedIP", "DeleteResourceRecord", "AddVirtualNetworkInterfaceIP"}
	reads   = []string{"GetBareMetalServer", "ListBareMetalServers", "GetVirtualNetworkInterface", "ListVirtualNetworkInterfaces", "GetSubnetReservedIP", "ListSubnetReservedIps", "ListResourceRecords", vpcsim.AnyOperation}
)

func newPlan(seed uint64, points []string) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{seed: seed, postgres: seed%5 == 4, boot: 20 * time.Hour}
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	for range r.IntN(8) {
		p.faults = append(p.faults, planned{fault: bearable(r, pick)})
	}
	if maybe(25) {
		p.faults = append(p.faults, planned{reasonCapacity, vpcsim.Fault{Kind: vpcsim.FaultServerFailed, Operation: "CreateBareMetalServer", Times: 1}})
	}
	if maybe(20) {
		p.faults = append(p.faults, planned{reasonForbidden, vpcsim.Fault{Kind: vpcsim.FaultFail, Status: 403, Times: 1,
			Operation: pick([]string{"CreateBareMetalServer", "CreateVirtualNetworkInterface", "CreateResourceRecord", "DeleteBareMetalServer", "DeleteSubnetReservedIP"})}})
	}
	if maybe(20) {
		p.boot = 4 * time.Minute
		p.faults = append(p.faults, planned{reasonNoBoot, vpcsim.Fault{Kind: vpcsim.FaultNeverBoot, Times: 1}})
	}
	if maybe(10) {
		p.faults = append(p.faults, planned{"", vpcsim.Fault{Kind: vpcsim.FaultIgnoreSoftStop, Times: 1}})
	}
	if maybe(20) {
		p.faults = append(p.faults, planned{"", vpcsim.Fault{Kind: vpcsim.FaultSlow, Times: 1 + r.IntN(3), LatencyMS: int64(1+r.IntN(60)) * 1000}})
	}
	if maybe(25) {
		p.taken = 30 * time.Minute
	}
	for range r.IntN(9) {
		kill := stop{after: 1 + r.IntN(80)}
		if maybe(50) { // at what is rarely passed, too
			for range 10 {
				_, point, _ := strings.Cut(pick(points), ": ")
				kill.points = append(kill.points, point)
			}
		}
		p.kills = append(p.kills, kill)
	}
	for n := range 1 + r.IntN(3) {
		node := nodePlan{name: fmt.Sprintf("s%d-n%d", seed%1000, n+1), retries: 1 + r.IntN(2), reinitialize: maybe(30), again: maybe(20), immediate: maybe(60)}
		if maybe(30) {
			node.cancelAfter = 1 + r.IntN(150)
		}
		for _, h := range []habit{reportsTwice, bootsTwice, installFails} {
			if maybe(15) {
				node.habits = append(node.habits, h)
			}
		}
		p.nodes = append(p.nodes, node)
	}
	return p
}

// bearable is a fault that must be got over.
func bearable(r *rand.Rand, pick func([]string) string) vpcsim.Fault {
	f := vpcsim.Fault{Times: 1 + r.IntN(2), Operation: pick([][]string{creates, creates, changes, reads}[r.IntN(4)])}
	switch r.IntN(6) {
	case 0:
		f.Kind, f.Status = vpcsim.FaultFail, []int{500, 502, 503, 504}[r.IntN(4)]
	case 1:
		f.Kind, f.Status, f.RetryAfterSeconds = vpcsim.FaultFail, 429, r.IntN(2)
	case 2:
		f.Kind = vpcsim.FaultDropBefore
	case 3, 4:
		f.Kind = vpcsim.FaultDropAfter
	case 5: // at the most, the caller has given up before it is carried out
		f.Kind, f.LatencyMS = vpcsim.FaultLatency, int64(1+r.IntN(50))*1000
	}
	return f
}

// String tells the plan on one line a thing.
func (p plan) String() string {
	text := fmt.Sprintf("seed %d (%s=%d repeats it)", p.seed, envSeed, p.seed)
	if p.postgres {
		text += ", on PostgreSQL"
	}
	for _, f := range p.faults {
		text += fmt.Sprintf("\n  %s of %s, %d times; status %d, %d ms; explains %q", f.fault.Kind, f.fault.Operation, f.fault.Times, f.fault.Status, f.fault.LatencyMS, f.reason)
	}
	for _, n := range p.nodes {
		text += fmt.Sprintf("\n  %+v", n)
	}
	return text + fmt.Sprintf("\n  %d kills at most", len(p.kills))
}

// TestSeeds goes through runs of random faults, verbs and kills.
func TestSeeds(t *testing.T) {
	t.Parallel()
	first, runs := uint64(1), defaultRuns
	if text := os.Getenv(envRuns); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", envRuns, err)
		}
		runs = n
	}
	if text := os.Getenv(envSeed); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", envSeed, err)
		}
		first, runs = seed, 1
	} else if runs != defaultRuns { // others each time
		first = uint64(time.Now().Unix()) * 1000
	}
	points := list(t)
	seeds := make([]uint64, runs)
	for n := range seeds {
		seeds[n] = first + uint64(n)
	}
	var mu sync.Mutex
	kills, ends := 0, map[string]int{}
	each(t, seeds, func(seed uint64) string { return strconv.FormatUint(seed, 10) }, func(t *testing.T, seed uint64) {
		w, how := runSeed(t, newPlan(seed, points))
		mu.Lock()
		defer mu.Unlock()
		kills += len(w.killed)
		for _, end := range how {
			ends[end]++
		}
	})
	t.Logf("seeds %d to %d: %d kills; ends of deployments: %v", first, first+uint64(runs)-1, kills, ends)
}

func runSeed(t *testing.T, p plan) (w *world, ends []string) {
	t.Log(p)
	database := ""
	if p.postgres {
		database = storetest.PostgresURL(t)
	} else {
		database = storetest.SQLiteURL(t)
	}
	w = newWorld(t, database, func(o *vpcsim.Options) { o.Delays.NameRelease = p.taken })
	w.boot = p.boot
	w.next = func() (at stop) {
		if len(p.kills) > 0 {
			at, p.kills = p.kills[0], p.kills[1:]
		}
		return at
	}
	for _, f := range p.faults {
		w.arm(t, f.reason, f.fault)
	}
	w.fleet.habits = map[string][]habit{}
	for _, n := range p.nodes {
		w.fleet.habits[n.name] = n.habits
	}
	w.start()
	lives := make([]*life, len(p.nodes))
	errs := make([]error, len(p.nodes))
	var all sync.WaitGroup
	for i, n := range p.nodes {
		lives[i] = w.newLife(t.Context(), n.name)
		all.Go(func() { errs[i] = lives[i].live(n) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Error(err)
		}
		ends = append(ends, lives[i].ends...)
	}
	if t.Failed() {
		return w, ends
	}
	if err := w.closing(t.Context(), lives); err != nil {
		t.Error(err)
	}
	return w, ends
}

// live takes a node through its plan.
func (l *life) live(n nodePlan) error {
	rounds := 1
	if n.again {
		rounds = 2
	}
	for range rounds {
		if err := l.order("deploy"); err != nil {
			return err
		}
		d, err := l.through(n)
		if err != nil {
			return err
		}
		if n.reinitialize && d.State != "failed" && d.Server != "" {
			if err := l.order("reinitialize"); err != nil {
				return err
			}
			if _, err := l.through(n); err != nil {
				return err
			}
		}
		if err := l.cleanUp(); err != nil {
			return err
		}
		n.cancelAfter = 0
	}
	return nil
}

// through follows a deployment to its end, retries included.
func (l *life) through(n nodePlan) (deployment, error) {
	for try := 0; ; try++ {
		if n.cancelAfter > 0 {
			if err := l.cancelAfter(n.cancelAfter, n.immediate); err != nil {
				return deployment{}, err
			}
		}
		d, err := l.ended()
		if err != nil {
			return d, err
		}
		l.ends = append(l.ends, strings.TrimSpace(d.Kind+" "+d.State+" "+reasonOf(d)))
		if d.State != "failed" || try >= n.retries {
			return d, nil
		}
		if d.Kind == deploy.KindReinitialize && reasonOf(d) == reasonCapacity {
			return d, nil // its server will not come, and is not this deployment's to replace
		}
		if err := l.retry(d); err != nil {
			return d, err
		}
	}
}
