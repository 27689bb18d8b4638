package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// progress shows deployments in the terminal: a live bar each, or a plain
// line a change when the output is no terminal.
type progress interface {
	// event shows a change of the deployment that is followed as name.
	event(name string, e client.Event)
	// polled shows where the polling of the host of one that is followed stands.
	polled(name string, p client.Polling)
	note(text string)
	// warn tells what must not be lost where the rest of the output goes.
	warn(text string)
	done()
}

func newProgress(out, complaints *os.File, names []string) progress {
	if !term.IsTerminal(int(out.Fd())) {
		return &lines{out: out, complaints: complaints}
	}
	b := newBars(out, names)
	if !term.IsTerminal(int(complaints.Fd())) {
		b.complaints = complaints
	}
	return b
}

// lines prints a line a change.
type lines struct {
	mu         sync.Mutex
	out        io.Writer
	complaints io.Writer
	probes     map[string]probeShown // what was shown of the polling of a host
}

// probeShown is an attempt to reach a host that was shown.
type probeShown struct {
	of      int // attempt of the deployment
	attempt int
	class   string
}

// probeLines is how many attempts that ended alike are told of in one line.
const probeLines = 12

// polled prints the first attempt, every one that ended otherwise than the one
// before, and some of the others.
func (l *lines) polled(name string, p client.Polling) {
	probe := p.SshProbe
	if probe == nil || probe.Attempt == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := probeShown{p.Attempt, probe.Attempt, value(probe.LastErrorClass)}
	was, shown := l.probes[name]
	if shown && was.of == now.of && (was.attempt == now.attempt || was.class == now.class && now.attempt < was.attempt+probeLines) {
		return
	}
	if l.probes == nil {
		l.probes = map[string]probeShown{}
	}
	l.probes[name] = now
	fmt.Fprintf(l.out, "%s  %-12s  %-18s %-12s %s\n", time.Now().UTC().Format("15:04:05"), name, p.PhaseKey, "polling", probeText(probe))
}

// probeText says how the last attempt to reach a host ended.
func probeText(p *client.PollingQueryNodesDeploymentSshProbe) string {
	text := fmt.Sprintf("%s attempt %d/%d", p.Target, p.Attempt, p.MaxAttempts)
	if class := value(p.LastErrorClass); class != "" {
		text += ": " + class
	}
	if m := value(p.LastMessage); m != "" {
		text += ": " + oneLine(m)
	}
	if offered := value(p.OfferedFingerprint); offered != "" {
		text += fmt.Sprintf(" (offered %s, known %s)", offered, value(p.KnownFingerprint))
	}
	return text
}

// value is the empty text for nil.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (l *lines) event(name string, e client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("%s  %-12s  %-18s %-12s %s", e.Timestamp.UTC().Format("15:04:05"), name, e.Phase, e.Status, oneLine(e.Message))
	if e.Progress != nil {
		text += fmt.Sprintf(" (%d %%)", *e.Progress)
	}
	if e.Outcome == "refused" {
		text += " (refused)"
	}
	fmt.Fprintln(l.out, strings.TrimRight(text, " "))
}

func (l *lines) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, text)
}

func (l *lines) warn(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.complaints, text)
}

func (l *lines) done() {}

// oneLine makes a message fit to be shown: machines say what they like, and
// control characters would steer the terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// bars draws a bar for each deployment.
type bars struct {
	mu   sync.Mutex
	p    *mpb.Progress
	rows map[string]*barRow
	// complaints is nil when they are shown on the same screen: the bars must
	// make room for them.
	complaints io.Writer
}

type barRow struct {
	bar         *mpb.Bar
	mu          sync.Mutex
	phase, text string
	provider    string
	next        *time.Time // when the next attempt to reach the host begins
}

const barSteps = 1000

func newBars(out io.Writer, names []string) *bars {
	b := &bars{p: mpb.New(mpb.WithOutput(out), mpb.WithWidth(32), mpb.WithRefreshRate(120*time.Millisecond)), rows: map[string]*barRow{}}
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	for _, n := range names {
		row := &barRow{phase: "pending", provider: deploy.ProviderIBMVPC}
		row.bar = b.p.AddBar(barSteps,
			mpb.PrependDecorators(decor.Name(n, decor.WC{W: width + 1, C: decor.DindentRight}), decor.Elapsed(decor.ET_STYLE_MMSS, decor.WC{W: 6})),
			mpb.AppendDecorators(decor.Any(row.label)))
		b.rows[n] = row
	}
	return b
}

func (r *barRow) label(decor.Statistics) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.text
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:57], "") + "..."
	}
	if r.next != nil {
		if left := time.Until(*r.next); left > 0 {
			text = fmt.Sprintf("next in %ds  %s", int(left.Seconds())+1, text)
		}
	}
	return fmt.Sprintf("%-18s %s", r.phase, text)
}

func hasPhase(provider string, key phase.Key) bool {
	return slices.ContainsFunc(phase.Catalogue(provider), func(d phase.Definition) bool { return d.Key == key })
}

func (b *bars) event(name string, e client.Event) {
	b.mu.Lock()
	row := b.rows[name]
	b.mu.Unlock()
	if row == nil || e.Outcome == "refused" {
		return
	}
	row.mu.Lock()
	row.phase, row.text, row.next = e.Phase, oneLine(e.Message), nil
	if !hasPhase(row.provider, e.Phase) && hasPhase(deploy.ProviderScript, e.Phase) {
		row.provider = deploy.ProviderScript
	}
	provider := row.provider
	if e.Ended() && e.State != "succeeded" {
		row.phase = e.State
	}
	row.mu.Unlock()
	share := 0.0
	if e.Progress != nil {
		share = float64(*e.Progress) / 100
	}
	if e.Status == "success" {
		share = 1
	}
	done := phase.Progress(phase.Facts{Provider: provider, State: e.State, Open: e.Phase, Skip: []phase.Key{phase.ClusterFormation}}, share, nil)
	if known, ok := phase.Lookup(e.Phase); ok && known.Ordinal < 100 {
		row.bar.SetCurrent(min(int64(done*barSteps), barSteps-1))
	}
	if e.Ended() {
		if e.State == "succeeded" {
			if e.Phase == phase.Deployed {
				row.bar.SetCurrent(barSteps)
			}
			return
		}
		row.bar.Abort(false)
	}
}

func (b *bars) polled(name string, p client.Polling) {
	b.mu.Lock()
	row := b.rows[name]
	b.mu.Unlock()
	if row == nil || p.SshProbe == nil || !phase.Polls(p.PhaseKey) {
		return
	}
	row.mu.Lock()
	defer row.mu.Unlock()
	row.next = p.SshProbe.NextAttemptAt
	if p.SshProbe.Attempt > 0 {
		row.text = probeText(p.SshProbe)
	}
}

func (b *bars) note(text string) { fmt.Fprintln(b.p, text) }

func (b *bars) warn(text string) {
	if b.complaints == nil {
		b.note(text)
		return
	}
	fmt.Fprintln(b.complaints, text)
}

func (b *bars) done() {
	b.mu.Lock()
	for _, r := range b.rows {
		if !r.bar.Completed() {
			r.bar.Abort(false)
		}
	}
	b.mu.Unlock()
	b.p.Wait()
}
