package cvmsim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// job is a command that runs apart from the connection that began it.
type job struct {
	name, token string
	log         strings.Builder
	stages      []stage
	waited      int
	dead        bool // killed: no exit status was left
	ended       bool
	exit        int
}

// stage is one beat of a job. It gives the exit status if the job ends with it,
// and goOn or again if not.
type stage struct {
	name string
	run  func() int
}

const (
	goOn  = -1
	again = -2
)

// record is what the look script prints.
func (c *CVM) record(name string) string {
	j, state := c.jobs[name], "idle"
	if c.running != nil {
		state = "busy"
	}
	if j == nil {
		return fmt.Sprintf("slipway-job %s id= exit=\n", state)
	}
	exit := ""
	if j.ended {
		exit = fmt.Sprint(j.exit)
	}
	return fmt.Sprintf("slipway-job %s id=%s exit=%s\n%s", state, j.token, exit, j.log.String())
}

// begin is the start script.
func (s *Site) begin(c *CVM, name, token, command string) reply {
	if c.running != nil {
		return reply{exit: 75}
	}
	if j := c.jobs[name]; j != nil && j.token == token {
		return reply{exit: 76}
	}
	parts, err := words(command)
	if err != nil {
		return reply{stderr: err.Error() + "\n", exit: 2}
	}
	input := ""
	if len(parts) == 2 && parts[0][0] == "echo" {
		input = strings.Join(parts[0][1:], " ")
	}
	j := &job{name: name, token: token}
	j.stages = s.stages(c, j, parts[len(parts)-1], input)
	c.jobs[name], c.running = j, j
	return reply{stdout: "slipway-begun\n"}
}

func (s *Site) stages(c *CVM, j *job, args []string, input string) []stage {
	switch line := strings.Join(args, " "); {
	case args[0] == "cluster" && args[len(args)-1] == "create":
		return s.createStages(c, j, args[1:])
	case line == "cluster stop":
		return s.stopStages(c, j, input)
	case line == "cluster destroy":
		return s.destroyStages(c, j, input)
	case strings.HasPrefix(line, "ncli cluster add-node node-uuid="):
		return s.addStages(c, j, strings.TrimPrefix(line, "ncli cluster add-node node-uuid="))
	}
	return []stage{{"run", func() int {
		j.log.WriteString("bash: " + args[0] + ": command not found\n")
		return 127
	}}}
}

// Step is one beat: every running job goes one stage further, and services that
// may come up do, a quarter of them at a time.
func (s *Site) Step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cvms {
		if c.running != nil {
			s.advance(c, c.running)
		}
	}
	for _, c := range s.cvms {
		if c.cluster != nil && c.on && c.ready && c.cluster.state == "start" && s.fault(FaultNeverUp, c.addr, "") == nil && !s.down(c.addr) {
			c.up = min(len(serviceNames), c.up+(len(serviceNames)+3)/4)
		}
	}
}

func (s *Site) advance(c *CVM, j *job) {
	if f := s.fault(FaultSlow, c.addr, ""); f != nil && j.waited < f.Steps {
		j.waited++
		return
	}
	j.waited = 0
	now := j.stages[0]
	if s.fault(FaultDie, c.addr, now.name) != nil || s.down(c.addr) {
		j.dead, c.running = true, nil
		return
	}
	switch exit := now.run(); exit {
	case again:
	case goOn:
		j.stages = j.stages[1:]
	default:
		j.ended, j.exit, c.running = true, exit, nil
	}
}

// patience is how many beats a command waits for services.
const patience = 12

func (s *Site) createStages(c *CVM, j *job, args []string) []stage {
	a, err := parseCreate(args)
	if err != nil {
		return []stage{{"discover", func() int {
			j.log.WriteString(logf("CRITICAL", "%v", err))
			return 2
		}}}
	}
	k := &cluster{name: a.name, rf: a.rf, vip: a.vip, state: "start"}
	out := []stage{
		{"discover", func() int { return s.createDiscover(c, j, a, k) }},
		{"certificates", func() int {
			j.log.WriteString(logf("INFO", "Creating certificates"))
			return goOn
		}},
	}
	for _, m := range a.members {
		out = append(out, stage{"configure", func() int { return s.configure(j, k, m) }})
	}
	return append(out,
		stage{"zeus", func() int {
			j.log.WriteString(logf("INFO", "Will seed prism with password hash $6$simulated$abcdefghijklmnop"))
			for _, m := range k.members {
				m.ready = true
			}
			return goOn
		}},
		stage{"services", func() int { return s.createWait(j, k) }},
		stage{"end", func() int { return s.createEnd(j, k) }})
}

func (s *Site) createDiscover(on *CVM, j *job, a createArgs, k *cluster) int {
	j.log.WriteString(logf("INFO", "Executing action create on SVMs %s", joined(a.members)))
	if s.fault(FaultLie, on.addr, "") != nil {
		j.log.WriteString(logf("ERROR", "Failed to configure the cluster"))
		return 0
	}
	var missing []netip.Addr
	for _, m := range a.members {
		c := s.find(m)
		if c == nil || c.cluster != nil || !c.on || s.down(m) {
			missing = append(missing, m)
			continue
		}
		k.members = append(k.members, c)
		fmt.Fprintf(&j.log, "%sip: %s\n\tnode_uuid: %s\n\n", logf("INFO", "Discovered node:"), m, c.uuid)
	}
	if len(missing) > 0 {
		j.log.WriteString(logf("CRITICAL", "Could not discover all nodes specified. Please make sure that the SVMs from which you wish to create the cluster are not already part of another cluster. Undiscovered ips : %s", joined(missing)))
		return 1
	}
	return goOn
}

func (s *Site) configure(j *job, k *cluster, m netip.Addr) int {
	j.log.WriteString(logf("INFO", "Setting the cluster functions on SVM node %s", m))
	c := s.find(m)
	if c == nil || !slices.Contains(k.members, c) || !c.on || s.fault(FaultHalfFormed, m, "") != nil || s.down(m) {
		j.log.WriteString(logf("CRITICAL", "Failed to configure SVM node %s", m))
		return 1
	}
	if len(k.members) > 0 && k.members[0] == c {
		s.formed++
	}
	c.cluster, c.up = k, 1
	return goOn
}

func (s *Site) createWait(j *job, k *cluster) int {
	waiting := 0
	for _, m := range k.members {
		if m.up < len(serviceNames) {
			fmt.Fprintf(&j.log, "Waiting on %s (Up) to start:  %s\n", m.addr, strings.Join(serviceNames[m.up:], " "))
			waiting++
		}
	}
	if waiting == 0 {
		return goOn
	}
	if strings.Count(j.log.String(), "Waiting on ") > patience*len(k.members) {
		j.log.WriteString(logf("CRITICAL", "Timed out waiting for services to start"))
		return 1
	}
	return again
}

func (s *Site) createEnd(j *job, k *cluster) int {
	j.log.WriteString(s.statusText(k.members[0]))
	k.vipPort = k.members[0].prismPort
	if err := s.raiseVIP(k); err != nil {
		j.log.WriteString(logf("ERROR", "External address: %v", err))
		return 1
	}
	j.log.WriteString(logf("INFO", "Success!"))
	return 0
}

func (s *Site) stopStages(c *CVM, j *job, input string) []stage {
	return []stage{{"stop", func() int {
		j.log.WriteString("This operation will stop the Nutanix storage services and any VMs using Nutanix storage will become unavailable. Do you want to proceed? (I agree/[N]): ")
		switch {
		case c.cluster == nil:
			j.log.WriteString("\n" + logf("CRITICAL", "Cluster is currently unconfigured. Please create the cluster."))
			return 1
		case input != "I agree":
			j.log.WriteString("\nAborted\n")
			return 1
		}
		c.cluster.state = "stop"
		for _, m := range c.cluster.members {
			m.up = min(m.up, alwaysUp)
		}
		j.log.WriteString("\n" + logf("INFO", "Success!"))
		return 0
	}}}
}

func (s *Site) destroyStages(c *CVM, j *job, input string) []stage {
	return []stage{{"destroy", func() int {
		k := c.cluster
		j.log.WriteString("This operation will erase all data. Do you want to proceed? (Y/[N]): ")
		switch {
		case k == nil:
			j.log.WriteString("\n" + logf("CRITICAL", "Cluster is currently unconfigured. Please create the cluster."))
			return 1
		case k.state != "stop":
			j.log.WriteString("\n" + logf("CRITICAL", "The cluster must be stopped before it is destroyed"))
			return 1
		case input != "Y":
			j.log.WriteString("\nAborted\n")
			return 1
		}
		for _, m := range k.members {
			if !m.on {
				j.log.WriteString("\n" + logf("CRITICAL", "Failed to reach SVM node %s", m.addr))
				return 1
			}
		}
		for _, m := range k.members {
			m.cluster, m.ready, m.up = nil, false, 0
		}
		s.lowerVIP(k)
		j.log.WriteString("\n" + logf("INFO", "Success!"))
		return 0
	}}}
}

// addStages begins an expansion; it goes on after the command has ended.
func (s *Site) addStages(c *CVM, j *job, uuid string) []stage {
	return []stage{{"add", func() int {
		for _, o := range s.cvms {
			if o.uuid != uuid {
				continue
			}
			if c.cluster == nil || o.cluster != nil || !o.on || s.down(o.addr) || len(c.cluster.members) == 1 {
				break
			}
			o.cluster, o.ready, o.up = c.cluster, true, 1
			c.cluster.members = append(c.cluster.members, o)
			j.log.WriteString("Node added successfully\n")
			return 0
		}
		j.log.WriteString("Error: the node cannot be added\n")
		return 1
	}}}
}
