package cvmsim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// serviceNames are the services of a controller VM, in the order of `cluster
// status`.
var serviceNames = []string{
	"Zeus", "Scavenger", "Xmount", "SysStatCollector", "IkatProxy", "IkatControlPlane", "SSLTerminator", "SecureFileSync",
	"Medusa", "DynamicRingChanger", "Pithos", "InsightsDB", "Athena", "Mercury", "Mantle", "VipMonitor", "Stargate",
	"InsightsDataTransfer", "Ergon", "GoErgon", "Cerebro", "Chronos", "Curator", "Prism", "Hera", "CIM", "AlertManager",
	"Arithmos", "Catalog", "Acropolis", "Uhura", "NutanixGuestTools", "MinervaCVM", "ClusterConfig", "APLOSEngine", "APLOS",
	"PlacementSolver", "Lazan", "Polaris", "Delphi", "Security", "Flow", "Anduril", "XTrim", "ClusterHealth",
}

// alwaysUp of them run even in a stopped cluster.
const alwaysUp = 3

// logf is a line as Nutanix's commands log it.
func logf(level, format string, args ...any) string {
	return time.Now().UTC().Format("2006-01-02 15:04:05,000Z") + " " + level + " MainThread cluster:1 " + fmt.Sprintf(format, args...) + "\n"
}

// exec runs a line that came over SSH.
func (s *Site) exec(c *CVM, line string) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, Command{c.addr, line})
	if s.fault(FaultHang, c.addr, "") != nil {
		return reply{hang: true}
	}
	if name, ok := asLook(line); ok {
		return reply{stdout: c.record(name)}
	}
	if name, token, command, ok := asStart(line); ok {
		r := s.begin(c, name, token, command)
		r.lost = s.fault(FaultLoseAnswer, c.addr, "") != nil
		return r
	}
	rest, ok := strings.CutPrefix(line, profile)
	if !ok {
		return reply{stderr: "bash: the commands of Nutanix are not found without /etc/profile\n", exit: 127}
	}
	parts, err := words(rest)
	if err != nil {
		return reply{stderr: err.Error() + "\n", exit: 2}
	}
	switch strings.Join(parts[len(parts)-1], " ") {
	case "cluster status":
		return s.status(c)
	case "ncli cluster discover-nodes":
		return s.discover(c)
	}
	return reply{stderr: "bash: " + parts[0][0] + ": command not found\n", exit: 127}
}

// status is `cluster status`, with the faults of its answer.
func (s *Site) status(c *CVM) reply {
	r := reply{stdout: s.statusText(c)}
	if c.cluster == nil {
		r = reply{stderr: logf("CRITICAL", "Cluster is currently unconfigured. Please create the cluster."), exit: 1}
	}
	if f := s.fault(FaultAnswer, c.addr, ""); f != nil {
		r = reply{stdout: f.Text}
	}
	if f := s.fault(FaultCut, c.addr, ""); f != nil {
		r.stdout, r.lost = r.stdout[:min(f.Bytes, len(r.stdout))], true
	}
	if f := s.fault(FaultCutExit, c.addr, ""); f != nil {
		r.stdout, r.exit = r.stdout[:min(f.Bytes, len(r.stdout))], 0
	}
	return r
}

func (s *Site) statusText(c *CVM) string {
	k := c.cluster
	if k == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(logf("INFO", "Executing action status on SVMs %s", joined(k.addrs())))
	fmt.Fprintf(&b, "The state of the cluster: %s\nLockdown mode: Disabled\n", k.state)
	for i, m := range k.members {
		if m != c && (!m.on || s.down(m.addr)) {
			fmt.Fprintf(&b, "\n\tCVM: %s Down\n", m.addr)
			continue
		}
		leader := ""
		if i == 0 && m.ready {
			leader = ", ZeusLeader"
		}
		fmt.Fprintf(&b, "\n\tCVM: %s Up%s\n", m.addr, leader)
		for j, name := range serviceNames {
			if j < m.up && m.cluster == k {
				fmt.Fprintf(&b, "%36s   UP\t[%d, %d, %d]\n", name, 4000+100*j, 4001+100*j, 4002+100*j)
			} else {
				fmt.Fprintf(&b, "%36s DOWN\t[]\n", name)
			}
		}
	}
	return b.String()
}

// discover is `ncli cluster discover-nodes`: who belongs to no cluster.
func (s *Site) discover(c *CVM) reply {
	if c.cluster == nil || c.cluster.state != "start" {
		return reply{stderr: "Error: Could not connect to the cluster\n", exit: 1}
	}
	var b strings.Builder
	for _, o := range s.cvms {
		if o.cluster != nil || !o.on || s.down(o.addr) {
			continue
		}
		fmt.Fprintf(&b, "\n    Node Uuid                 : %s\n    Node Position             : A\n    CVM IP                    : %s\n", o.uuid, o.addr)
	}
	if b.Len() == 0 {
		return reply{stdout: "[None]\n"}
	}
	return reply{stdout: b.String() + "\n"}
}

func joined(addrs []netip.Addr) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}

// createArgs are the words of `cluster -s … create`.
type createArgs struct {
	members []netip.Addr
	rf      string
	name    string
	vip     netip.Addr
}

func parseCreate(args []string) (createArgs, error) {
	a := createArgs{name: "Unnamed"}
	if len(args) < 3 || args[0] != "-s" || args[len(args)-1] != "create" {
		return a, fmt.Errorf("usage: cluster -s ip[,ip...] [options] create")
	}
	for ip := range strings.SplitSeq(args[1], ",") {
		addr, err := netip.ParseAddr(ip)
		if err != nil || slices.Contains(a.members, addr) {
			return a, fmt.Errorf("bad or repeated address %q", ip)
		}
		a.members = append(a.members, addr)
	}
	for _, o := range args[2 : len(args)-1] {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "--redundancy_factor":
			a.rf = value
		case "--cluster_name":
			a.name = value
		case "--cluster_external_ip":
			vip, err := netip.ParseAddr(value)
			if err != nil {
				return a, fmt.Errorf("bad external address %q", value)
			}
			a.vip = vip
		case "--dns_servers", "--ntp_servers", "--skip_discovery":
		default:
			return a, fmt.Errorf("unknown option %q", name)
		}
	}
	return a, nil
}
