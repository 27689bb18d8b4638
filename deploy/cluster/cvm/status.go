package cvm

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Verdict is what an answer of `cluster status` comes to.
type Verdict string

// The verdicts.
const (
	// VerdictUnconfigured: this controller VM belongs to no cluster.
	VerdictUnconfigured Verdict = "unconfigured"
	// VerdictForming: the cluster is to run and every member answers, but not
	// every service is up: it starts, or something is broken. Time tells.
	VerdictForming Verdict = "forming"
	// VerdictUp: the cluster runs, every listed member and service is up.
	VerdictUp Verdict = "up"
	// VerdictDown: a member does not answer the others.
	VerdictDown Verdict = "down"
	// VerdictStopped: the cluster was told to stop.
	VerdictStopped Verdict = "stopped"
	// VerdictUnclear: garbage, or an answer that was cut. Nothing may be
	// concluded from it.
	VerdictUnclear Verdict = "unclear"
)

// Configured reports whether the answer comes from a member of a cluster.
func (v Verdict) Configured() bool {
	return v == VerdictForming || v == VerdictUp || v == VerdictDown || v == VerdictStopped
}

// Service is one service on a member.
type Service struct {
	Name string
	Up   bool
}

// CVM is one member, as the one that was asked sees it.
type CVM struct {
	Addr     netip.Addr
	Up       bool
	Notes    []string // "ZeusLeader", "Maintenance mode"
	Services []Service
}

// Down lists the member's services that are not up.
func (c CVM) Down() []string {
	var out []string
	for _, s := range c.Services {
		if !s.Up {
			out = append(out, s.Name)
		}
	}
	return out
}

// Status is what `cluster status` said.
type Status struct {
	Verdict Verdict
	// Why tells people what made the verdict.
	Why      string
	State    string // after "The state of the cluster:", as it came
	Lockdown string // after "Lockdown mode:", as it came
	CVMs     []CVM
	// Evidence is the part of the answer that the verdict rests on: at most
	// maxEvidence lines, secrets removed.
	Evidence []string
}

// Members are the addresses that the answer lists, sorted.
func (s Status) Members() []netip.Addr {
	out := make([]netip.Addr, 0, len(s.CVMs))
	for _, c := range s.CVMs {
		out = append(out, c.Addr)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// Member gives what the answer says of one member.
func (s Status) Member(a netip.Addr) (CVM, bool) {
	for _, c := range s.CVMs {
		if c.Addr == a {
			return c, true
		}
	}
	return CVM{}, false
}

const (
	maxEvidence     = 40
	maxEvidenceLine = 240
	maxLine         = 4096 // no line of an answer is longer
	maxCVMs         = 64
	maxServices     = 256
)

// The forms are those of answers that users of Community Edition 2.0 (AOS 6)
// have published; see testdata.
var (
	stateLine    = regexp.MustCompile(`^The state of the cluster:\s*(\S.*?)\s*$`)
	lockdownLine = regexp.MustCompile(`^Lockdown mode:\s*(\S.*?)\s*$`)
	cvmLine      = regexp.MustCompile(`^\s*CVM:\s+(\S+)\s+(Up|Down)\s*((?:,\s*[A-Za-z][A-Za-z -]*?\s*)*)$`)
	serviceLine  = regexp.MustCompile(`^\s+([A-Za-z][A-Za-z0-9_]*)\s+(UP|DOWN)\s+\[[0-9, ]*\](?:\[\])?\s*$`)
	logLine      = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]?\d*Z?\s+(DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL)\s`)
	hashText     = regexp.MustCompile(`\$[0-9a-z]{1,10}\$[^\s"']+`)
	secretText   = regexp.MustCompile(`(?i)(password|passwd|secret|token)(\s*[=:]\s*)\S+`)
)

const unconfiguredText = "Cluster is currently unconfigured"

// essential are services without which no cluster works, whatever its release:
// an answer without one of them was cut, or is none.
var essential = []string{"Zeus", "Medusa", "Stargate", "Prism"}

// ParseStatus reads an answer of `cluster status`; it never fails: what it
// cannot read is unclear. complete tells whether the answer came to its end.
func ParseStatus(text string, complete bool) Status {
	p := parser{}
	for line := range strings.Lines(text) {
		p.line(strings.TrimRight(line, "\r\n"))
	}
	p.ended = complete && (text == "" || strings.HasSuffix(text, "\n"))
	p.status.Verdict, p.status.Why = p.verdict()
	p.status.Evidence = p.evidence()
	return p.status
}

type parser struct {
	status       Status
	unconfigured string
	problems     []string // log lines of weight
	unread       []string
	twice        bool
	ended        bool
}

func (p *parser) line(line string) {
	s := &p.status
	if len(line) > maxLine {
		p.unread = append(p.unread, line[:maxLine])
		return
	}
	if strings.Contains(line, unconfiguredText) {
		p.unconfigured = line
		return
	}
	if m := logLine.FindStringSubmatch(line); m != nil {
		if m[1] == "ERROR" || m[1] == "CRITICAL" || m[1] == "FATAL" {
			p.problems = append(p.problems, line)
		}
		return
	}
	if m := stateLine.FindStringSubmatch(line); m != nil {
		p.twice = p.twice || s.State != ""
		s.State = m[1]
		return
	}
	if m := lockdownLine.FindStringSubmatch(line); m != nil {
		s.Lockdown = m[1]
		return
	}
	if m := cvmLine.FindStringSubmatch(line); m != nil {
		p.cvm(line, m)
		return
	}
	if m := serviceLine.FindStringSubmatch(line); m != nil && len(s.CVMs) > 0 {
		c := &s.CVMs[len(s.CVMs)-1]
		if len(c.Services) < maxServices {
			c.Services = append(c.Services, Service{Name: m[1], Up: m[2] == "UP"})
			return
		}
	}
	if strings.TrimSpace(line) != "" {
		p.unread = append(p.unread, line)
	}
}

func (p *parser) cvm(line string, m []string) {
	a, err := netip.ParseAddr(m[1])
	if err != nil || len(p.status.CVMs) >= maxCVMs {
		p.unread = append(p.unread, line)
		return
	}
	if _, ok := p.status.Member(a); ok {
		p.twice = true
	}
	c := CVM{Addr: a, Up: m[2] == "Up"}
	for note := range strings.SplitSeq(m[3], ",") {
		if note = strings.TrimSpace(note); note != "" {
			c.Notes = append(c.Notes, note)
		}
	}
	p.status.CVMs = append(p.status.CVMs, c)
}

// verdict judges what was read. Doubt is always unclear: an answer that was
// cut must never make a cluster up.
func (p *parser) verdict() (Verdict, string) {
	s := &p.status
	switch {
	case p.unconfigured != "" && (s.State != "" || len(s.CVMs) > 0):
		return VerdictUnclear, "the answer says both that there is no cluster and how it is"
	case p.unconfigured != "":
		return VerdictUnconfigured, "it belongs to no cluster"
	case p.twice:
		return VerdictUnclear, "the answer tells the same thing twice"
	case s.State == "":
		return VerdictUnclear, "the answer does not say in which state the cluster is"
	case len(s.CVMs) == 0:
		return VerdictUnclear, "the answer lists no controller VM"
	case len(p.unread) > 0:
		return VerdictUnclear, "the answer has lines that are not understood"
	case !p.ended:
		return VerdictUnclear, "the answer was cut"
	}
	switch strings.ToLower(s.State) {
	case "start":
	case "stop":
		return VerdictStopped, "the cluster was told to stop"
	default:
		return VerdictUnclear, "the state of the cluster has a name that is not known"
	}
	for _, c := range s.CVMs {
		if !c.Up {
			return VerdictDown, c.Addr.String() + " does not answer the other controller VMs"
		}
	}
	if why := p.short(); why != "" {
		return VerdictUnclear, why
	}
	for _, c := range s.CVMs {
		if d := c.Down(); len(d) > 0 {
			return VerdictForming, "services that are not up on " + c.Addr.String() + ": " + some(d)
		}
	}
	return VerdictUp, "every listed controller VM and service is up"
}

// short tells whether the list of services ends too early.
func (p *parser) short() string {
	cvms := p.status.CVMs
	for _, c := range cvms {
		for _, e := range essential {
			if !slices.ContainsFunc(c.Services, func(s Service) bool { return s.Name == e }) {
				return "the answer does not tell of " + e + " on " + c.Addr.String()
			}
		}
	}
	last := cvms[len(cvms)-1].Services
	for _, c := range cvms[:len(cvms)-1] {
		if len(last) < len(c.Services) && slices.EqualFunc(last, c.Services[:len(last)], func(a, b Service) bool { return a.Name == b.Name }) {
			return "the list of services ends too early"
		}
	}
	return ""
}

// evidence gathers the lines that speak: everything but services that are up.
func (p *parser) evidence() []string {
	var out []string
	add := func(line string) {
		if len(out) < maxEvidence {
			out = append(out, clean(line))
		}
	}
	s := &p.status
	if p.unconfigured != "" {
		add(p.unconfigured)
	}
	if s.State != "" {
		add("The state of the cluster: " + s.State)
	}
	for _, c := range s.CVMs {
		line := "CVM: " + c.Addr.String() + " Down"
		if c.Up {
			line = "CVM: " + c.Addr.String() + " Up"
		}
		down := c.Down()
		line += strings.Join(append([]string{""}, c.Notes...), ", ")
		switch {
		case len(down) > 0:
			line += "; DOWN: " + some(down)
		case len(c.Services) > 0:
			line += "; all services UP"
		}
		add(line)
	}
	for _, l := range slices.Concat(p.problems, p.unread) {
		add(l)
	}
	return out
}

// some lists the first names.
func some(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// clean makes a line of a controller VM fit to be kept: no secrets (`cluster
// create` logs the hash of Prism's password), no control characters, not long.
func clean(line string) string {
	line = hashText.ReplaceAllString(line, "[removed]")
	line = secretText.ReplaceAllString(line, "$1$2[removed]")
	line = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, ""))
	if r := []rune(line); len(r) > maxEvidenceLine {
		line = string(r[:maxEvidenceLine]) + "…"
	}
	return strings.TrimSpace(line)
}

// profile gives a command the environment of a login, without which Nutanix's
// commands are not found.
const profile = "source /etc/profile; "

// Status asks a controller VM for `cluster status`. The error says why there
// was no answer; an answer that is not understood is a Status with
// VerdictUnclear.
func (c *Client) Status(ctx context.Context, t Target) (Status, error) {
	const op = "cluster status"
	out, err := c.run(ctx, t, op, profile+op)
	if err != nil {
		return Status{}, err
	}
	if out.exit == exitNoCommand {
		return Status{}, failed(ClassNoCommand, op, t.Addr, nil, "there is no command cluster")
	}
	// The exit status decides nothing: an unconfigured controller VM answers
	// with a failure. What it says does.
	s := ParseStatus(out.text(), !out.cut)
	if out.exit != 0 && s.Verdict.Configured() {
		s.Verdict, s.Why = VerdictUnclear, "the command failed although it answered"
	}
	return s, nil
}

// exitNoCommand is a shell's exit status for a command that is not there
// (POSIX, Shell Command Language 2.8.2).
const exitNoCommand = 127
