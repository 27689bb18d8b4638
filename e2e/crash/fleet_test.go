package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// fleet are the machines that have power.
type fleet struct {
	world *world

	mu       sync.Mutex
	machines map[string]*machine // by server id
	habits   map[string][]habit  // by the node's place in the server's name
	broken   int                 // installations that have failed
	running  sync.WaitGroup
}

// habit is what a machine does once that it should not.
type habit string

const (
	reportsTwice habit = "reports everything twice"
	bootsTwice   habit = "restarts in the middle"
	installFails habit = "fails to install"
)

// machine is one server with power.
type machine struct {
	spec vpcsim.Spec
	off  context.CancelFunc

	// Under the fleet's lock: what is installed, and by whom.
	deployment int64
	attempt    int
	login      *login
	asked      int // how often somebody has tried to log in
}

// PowerOn starts a machine.
func (f *fleet) PowerOn(spec vpcsim.Spec) {
	ctx, off := context.WithCancel(context.Background())
	m := &machine{spec: spec, off: off}
	f.mu.Lock()
	f.machines[spec.ServerID] = m
	f.mu.Unlock()
	f.running.Go(func() { f.run(ctx, m) })
}

// PowerOff stops it at once.
func (f *fleet) PowerOff(serverID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.machines[serverID]; m != nil {
		m.off()
		delete(f.machines, serverID)
	}
}

func (f *fleet) wait() { f.running.Wait() }

// take tells whether a machine has a habit, which it then loses.
func (f *fleet) take(name string, h habit) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for node, habits := range f.habits {
		if !strings.Contains(name, node) {
			continue
		}
		for i, have := range habits {
			if have == h {
				if h == installFails {
					f.broken++
				}
				f.habits[node] = append(habits[:i:i], habits[i+1:]...)
				return true
			}
		}
	}
	return false
}

// run boots from the network, as firmware does, until there is nothing to
// install or the power goes.
func (f *fleet) run(ctx context.Context, m *machine) {
	locator := m.spec.UserData[strings.LastIndex(m.spec.UserData, "/")+1:]
	for {
		a, err := f.world.ask(ctx, request{Verb: "boot", Locator: locator})
		if err != nil {
			return
		}
		switch a.Decision {
		case "install", "again", "new_attempt":
			if again := f.install(ctx, m, a); !again {
				return
			}
		case "wait":
			pause := time.NewTimer(100 * time.Millisecond)
			<-pause.C
		default:
			return // it shows why, and waits for its power to be cut
		}
	}
}

// stages are a machine's reports in order.
var stages = []string{"foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install"}

// install does what the served scripts do; again = it restarts in the middle.
func (f *fleet) install(ctx context.Context, m *machine, a answer) (again bool) {
	twice := f.take(m.spec.Name, reportsTwice)
	installed := login{HostKey: "ssh-ed25519 " + randomText(), BootID: randomText()}
	say := func(in request) bool {
		in.Deployment, in.Attempt = a.Deployment, a.Attempt
		for range 1 + map[bool]int{true: 1}[twice] {
			if out, err := f.world.ask(ctx, in); err != nil || out.Code != "" {
				return false
			}
		}
		return true
	}
	if !say(request{Verb: "config"}) {
		return false
	}
	for _, stage := range stages {
		done := request{Verb: "report", Phase: stage, Status: "success", Message: "done"}
		switch {
		case stage == "installation" && f.take(m.spec.Name, bootsTwice):
			return true
		case stage == "installation" && f.take(m.spec.Name, installFails):
			done.Status, done.Message = "failed", broken
			say(done)
			return false
		case stage == "post_install":
			hostKey, err := f.world.cvms.start(ctx, f.world, a.Deployment)
			if err != nil {
				return false
			}
			if hostKey != "" {
				hostKey = fmt.Sprintf(`"cvm_ssh_host_key":%q,`, hostKey)
			}
			done.Details = json.RawMessage(fmt.Sprintf(`{"ssh_host_key":%q,%s"boot_id":%q,"ssh_port":22}`, installed.HostKey, hostKey, installed.BootID))
		}
		if stage != "post_install" && !say(request{Verb: "report", Phase: stage, Status: "in_progress", Message: "begun"}) || !say(done) {
			return false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	installed.BootID = randomText() // it has restarted
	m.deployment, m.attempt, m.login = a.Deployment, a.Attempt, &installed
	return false
}

// broken is what a machine says that fails to install.
const broken = "the disk is broken"

func randomText() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// login answers in place of a machine's SSH server. The first one to ask is
// always too early: the machine is still starting.
func (f *fleet) login(rw http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.machines {
		if m.spec.IP != r.PathValue("ip") || m.login == nil {
			continue
		}
		if m.asked++; m.asked > 1 {
			_ = json.NewEncoder(rw).Encode(m.login)
			return
		}
	}
	http.NotFound(rw, r)
}

// installedOn gives the deployment and attempt that a server runs.
func (f *fleet) installedOn(serverID string) (deployment int64, attempt int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.machines[serverID]; m != nil && m.login != nil {
		return m.deployment, m.attempt
	}
	return 0, 0
}
