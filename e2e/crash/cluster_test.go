package crash

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// controllers are the controller VMs of a world's machines.
type controllers struct {
	site  *cvmsim.Site
	seed  []byte // of the key that may log in
	ports cvmsim.Place

	mu   sync.Mutex
	keys map[string]string // host keys, by address
}

func newControllers(t *testing.T) *controllers {
	t.Helper()
	c := &controllers{seed: []byte(randomText() + randomText()), keys: map[string]string{}}
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(c.seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []*int{&c.ports.SSHPort, &c.ports.PrismPort} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	if c.site, err = cvmsim.New(cvmsim.Options{Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.site.Close)
	return c
}

// String is what a core has to know of them.
func (c *controllers) String() string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%d %d %s", c.ports.SSHPort, c.ports.PrismPort, hex.EncodeToString(c.seed))
}

// start runs the controller VM of a deployment's machine, and gives its host key;
// empty if there are none.
func (c *controllers) start(ctx context.Context, w *world, deployment int64) (string, error) {
	if c == nil {
		return "", nil
	}
	addr, err := w.controllerOf(ctx, deployment)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys[addr.String()] == "" { // else it says so for the second time
		vm, err := c.site.Add(addr, c.ports)
		if err != nil {
			return "", err
		}
		c.keys[addr.String()] = vm.HostKey()
	}
	return c.keys[addr.String()], nil
}

// controllerOf waits until it is known which address a deployment's controller VM
// has: a machine may run before the core has written down what it was given.
func (w *world) controllerOf(ctx context.Context, deployment int64) (netip.Addr, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s, err := w.state(ctx)
		if err != nil {
			return netip.Addr{}, err
		}
		if text := s.of(deployment).CVM; text != "" {
			return netip.ParseAddr(text)
		}
		select {
		case <-ctx.Done():
			return netip.Addr{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// begun counts how often a controller VM was told to begin a job.
func (c *controllers) begun(job cvm.Job) (n int) {
	for _, r := range c.site.Ran() {
		if strings.Contains(r.Line, fmt.Sprintf(" >.slipway/%s.id ", job)) {
			n++
		}
	}
	return n
}

// gather makes the core's clusters; nil if it is told of no controller VMs.
func (c *core) gather(told string, log *slog.Logger) (deploy.Clusters, error) {
	if told == "" {
		return nil, nil
	}
	var deps cluster.Deps
	var text string
	if _, err := fmt.Sscan(told, &deps.SSHPort, &deps.PrismPort, &text); err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, err
	}
	deps.Store, deps.Writer, deps.CVMs, deps.Now, deps.Logger = c.store, later{c}, &cvm.Client{Key: signer}, c.clock.Now, log
	deps.FormLimit = 20 * time.Hour // as for deadlines: for what never comes
	deps.Boundary = func(point string) { c.points.at(clusterPoint + point) }
	c.clusters = cluster.New(deps)
	return c.clusters, nil
}

// later is the core's writer, which is made when its engine is.
type later struct{ *core }

func (l later) Do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error {
	return l.writer.Do(ctx, deployments, nodes, apply)
}

// cluster asks for one, for more nodes in one, or for its end.
func (c *core) cluster(ctx context.Context, in request, actor deploy.Actor) (int64, error) {
	if in.Verb == "end of cluster" {
		_, err := c.clusters.Cleanup(ctx, cluster.Cleanup{ClusterID: in.Cluster, ConfirmName: in.Name, Actor: actor})
		return in.Cluster, err
	}
	r := cluster.Request{Name: in.Name, IdempotencyKey: in.Key, Actor: actor}
	if in.Cluster != 0 {
		r.Name, r.ClusterID, r.Operation = "", in.Cluster, cvm.OperationJoin
	}
	for _, name := range in.Members {
		r.Nodes = append(r.Nodes, cluster.NodeRequest{Name: name, Spec: &deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}})
	}
	made, err := c.clusters.Deploy(ctx, r)
	if err != nil {
		return 0, err
	}
	return made.ID, nil
}

const clusterPoint = "cluster: "

// clusterPoints are the boundaries of a stage in the life of a cluster, of which
// act is the one that asks controller VMs.
func clusterPoints(act string) (points []string) {
	for _, what := range []string{"insert", act, "intent", "record", "formed"} {
		points = append(points, clusterPoint+"before "+what, clusterPoint+"after "+what)
	}
	return points
}

// TestClusterKilledAtEveryPoint kills a core once at each boundary of a cluster
// that is formed, and of a node that joins it. Each is begun once all the same.
func TestClusterKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	worlds <- struct{}{}
	defer func() { <-worlds }()
	w := newWorld(t, storetest.SQLiteURL(t))
	w.cvms = newControllers(t)
	var mu sync.Mutex
	var left, unknown []string
	known := append(clusterPoints("form"), clusterPoints("join")...)
	armed := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(left)
	}
	w.next = func() stop { return stop{points: armed()} }
	w.stopped = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		left = without(left, []string{point})
	}
	w.told = func(point string) {
		if strings.HasPrefix(point, clusterPoint) && !slices.Contains(known, point) {
			mu.Lock()
			defer mu.Unlock()
			unknown = append(unknown, point)
		}
	}
	// Time passes on the controller VMs when all is done that has to be seen while
	// nothing moves there: what has ended before the next core looks is not kept as
	// under way.
	beating, beats := context.WithCancel(t.Context())
	var beat sync.WaitGroup
	beat.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
				if !slices.Contains(armed(), clusterPoint+"after record") {
					w.cvms.site.Step()
				}
			}
		}
	})
	defer beat.Wait()
	defer beats()
	w.start()
	stage := func(act string, in request, members int) int64 {
		t.Helper()
		mu.Lock()
		left = clusterPoints(act)
		mu.Unlock()
		if _, err := w.ask(t.Context(), request{Verb: "arm", Points: armed()}); err != nil {
			t.Fatal(err)
		}
		out, err := w.ask(t.Context(), in)
		if err != nil || out.Code != "" {
			t.Fatalf("%s %s: %v", out.Code, out.Message, err)
		}
		if err := w.grown(t.Context(), members); err != nil {
			t.Fatal(err)
		}
		if missed := armed(); len(missed) > 0 {
			t.Errorf("never passed: %q", missed)
		}
		return out.Cluster
	}
	id := stage("form", request{Verb: "cluster", Name: "prod", Key: "1", Members: []string{"a", "b", "c"}}, 3)
	stage("join", request{Verb: "cluster", Cluster: id, Key: "2", Members: []string{"d"}}, 4)
	if formed, created, added := w.cvms.site.Formed(), w.cvms.begun(cvm.JobCreate), w.cvms.begun(cvm.JobAddNode); formed != 1 || created != 1 || added != 1 {
		t.Errorf("%d clusters were formed; a creation was begun %d times, a join %d times", formed, created, added)
	}
	if out, err := w.ask(t.Context(), request{Verb: "end of cluster", Cluster: id, Name: "prod"}); err != nil || out.Code != "" {
		t.Fatalf("%s %s: %v", out.Code, out.Message, err)
	}
	if err := w.closing(t.Context(), nil); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(unknown) > 0 {
		t.Errorf("not killed at: %q", unknown)
	}
	t.Logf("killed %d times", len(w.killed))
}

// grown waits until all of so many nodes are deployed, and checks that each is a
// member by its own controller VM's word, and held as one.
func (w *world) grown(ctx context.Context, members int) error {
	if err := w.undisturbed(ctx); err != nil {
		return err
	}
	s, err := w.rest(ctx, 0)
	if err != nil {
		return err
	}
	var bad problems
	for _, d := range s.Deployments {
		if d.State != "succeeded" || d.Attempt != 1 || d.Successes != 1 || !d.Clustered {
			bad.add("deployment %d of %s is %s at its attempt %d (%s), was deployed %d times, held as a member: %v", d.ID, d.Name, d.State, d.Attempt, d.Failure, d.Successes, d.Clustered)
		}
	}
	for _, v := range w.cvms.site.State() {
		if len(v.Members) != members {
			bad.add("%s counts %v", v.Addr, v.Members)
		}
	}
	if len(s.Deployments) != members {
		bad.add("there are %d deployments", len(s.Deployments))
	}
	return bad.err()
}

// undisturbed waits until every deployment has succeeded, and not for the others
// of one that has failed, who would wait for it. Ten cores come and go meanwhile.
func (w *world) undisturbed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s, err := w.state(ctx)
		if err != nil {
			return err
		}
		under := 0
		for _, d := range s.Deployments {
			switch d.State {
			case "succeeded":
			case "queued", "running":
				under++
			default:
				return fmt.Errorf("one has not succeeded: %s", s)
			}
		}
		if under == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("they do not come to their end: %s", s)
		case <-tick.C:
		}
	}
}
