package cvmsim

import (
	"net/netip"
	"path"
	"slices"
)

// FaultKind names what goes wrong.
type FaultKind string

// The faults. Addr and Match say on whom; without both it is on every one.
const (
	// FaultSlow: every stage of a job takes Fault.Steps beats more.
	FaultSlow FaultKind = "slow"
	// FaultHang: commands are taken and never answered.
	FaultHang FaultKind = "hang"
	// FaultHalfFormed: `cluster create` fails when it comes to configure Addr.
	FaultHalfFormed FaultKind = "half_formed"
	// FaultDie: a job dies before its stage Fault.Stage, without exit status.
	FaultDie FaultKind = "die"
	// FaultLie: `cluster create` prints a failure, does nothing, and exits with 0.
	FaultLie FaultKind = "lie"
	// FaultNeverUp: Addr's services do not come up.
	FaultNeverUp FaultKind = "never_up"
	// FaultDown: Addr does not answer, neither us nor the other controller VMs.
	FaultDown FaultKind = "down"
	// FaultAnswer: `cluster status` prints Fault.Text instead of the truth.
	FaultAnswer FaultKind = "answer"
	// FaultCut: `cluster status` ends after Fault.Bytes bytes, and the connection
	// with it.
	FaultCut FaultKind = "cut"
	// FaultCutExit: as FaultCut, but with exit status 0.
	FaultCutExit FaultKind = "cut_exit"
	// FaultLoseAnswer: the command is carried out, and the connection is cut
	// before its answer.
	FaultLoseAnswer FaultKind = "lose_answer"
	// FaultHostKey: it shows another host key.
	FaultHostKey FaultKind = "host_key"
	// FaultNoPrism: Prism's port takes connections and ends them.
	FaultNoPrism FaultKind = "no_prism"
)

// FaultKinds are all of them.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultSlow, FaultHang, FaultHalfFormed, FaultDie, FaultLie, FaultNeverUp, FaultDown, FaultAnswer, FaultCut, FaultCutExit,
		FaultLoseAnswer, FaultHostKey, FaultNoPrism,
	}
}

// Stages are those of a job that Fault.Stage can name.
func Stages() []string {
	return []string{"discover", "certificates", "configure", "zeus", "services", "end", "stop", "destroy", "add"}
}

// Fault is a rule.
type Fault struct {
	// ID is by what Remove knows it; any or none.
	ID   string
	Kind FaultKind
	Addr netip.Addr
	// Match is a pattern of names as in path.Match; empty is every one.
	Match string
	Stage string // of FaultDie, one of Stages; empty is any
	Steps int    // of FaultSlow
	Text  string // of FaultAnswer
	Bytes int    // of FaultCut and FaultCutExit
	// Times is how often it strikes; 0 means always.
	Times int
}

// Inject adds a fault.
func (s *Site) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{Fault: f})
}

// Clear removes all faults.
func (s *Site) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Remove removes the faults with one of these ids; commands that hang because of
// one stay so.
func (s *Site) Remove(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return f.ID != "" && slices.Contains(ids, f.ID) })
}

type fault struct {
	Fault
	struck int
}

// fault finds a fault that strikes, and counts it. The caller holds the lock.
func (s *Site) fault(kind FaultKind, addr netip.Addr, stage string) *fault {
	name := ""
	if c := s.find(addr); c != nil {
		name = c.name
	}
	for _, f := range s.faults {
		if matches, _ := path.Match(f.Match, name); f.Match != "" && !matches {
			continue
		}
		if f.Kind != kind || f.Addr.IsValid() && f.Addr != addr || f.Stage != "" && stage != "" && f.Stage != stage || f.Times > 0 && f.struck >= f.Times {
			continue
		}
		f.struck++
		return f
	}
	return nil
}

func (s *Site) down(a netip.Addr) bool { return s.fault(FaultDown, a, "") != nil }
