package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// kills is how often the server is killed during one fleet's installation.
const kills = 5

// TestServerKilledAtRandomMoments: the machines and the cloud go on while the
// server is away, and nothing is lost, doubled or forgotten.
func TestServerKilledAtRandomMoments(t *testing.T) {
	ctx := deadline(t)
	random := dice(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	events := s.follow(ctx)
	names := []string{"kill-1", "kill-2", "kill-3"}
	s.order(ctx, names...)
	watch := start(t, "watch", append([]string{"watch", "--server=" + s.base, "--token=" + s.token}, names...)...)
	watch.await(ctx, `^kill-3: deployment #1 is `)

	done := 0
	for n := range kills {
		seen := len(events.until(ctx, "something has begun", func(e []client.Event) bool { return len(e) > 0 }))
		more := 1 + random.IntN(18)
		now := events.until(ctx, "the moment to kill", func(e []client.Event) bool {
			return len(e) >= seen+more || count(e, "succeeded") == len(names)
		})
		if count(now, "succeeded") == len(names) {
			t.Logf("all were deployed before kill %d", n+1)
			break
		}
		wait := time.NewTimer(time.Duration(random.IntN(200)) * time.Millisecond) // anywhere in a step
		<-wait.C
		s.proc.kill()
		at := now[len(now)-1]
		killed := time.Now()
		s.start(ctx)
		after := events.until(ctx, "something goes on", func(e []client.Event) bool {
			return len(e) > len(now) && e[len(e)-1].Timestamp.After(killed) || count(e, "succeeded") == len(names)
		})
		done++
		next, ok := find(after, func(e client.Event) bool { return e.Timestamp.After(killed) })
		if !ok {
			t.Logf("all were deployed at kill %d", n+1)
			break
		}
		t.Logf("kill %d after %d events, at %s of deployment %d; ready again after %s, next event (%s) %s after that", n+1, len(now), at.Phase, at.DeploymentID,
			s.ready.Sub(killed).Round(time.Millisecond), next.Phase, next.Timestamp.Sub(s.ready).Round(time.Millisecond))
	}
	require.GreaterOrEqual(t, done, 3)
	got := events.until(ctx, "all are deployed", func(e []client.Event) bool { return count(e, "succeeded") == len(names) })

	require.Equal(t, 0, watch.end(ctx), "slipway watch")
	for _, n := range names {
		require.Regexp(t, `(?m)^`+n+`: deployed at 127\.64\.\d+\.\d+$`, watch.said())
	}
	c.mustCount(t, len(names))
	state := c.state(t)
	require.Equal(t, len(names), state.PowerOns)
	require.Equal(t, 4*len(names), state.DNSRecords, "of machines and controller VMs")
	rows := s.table()
	mustBeWhole(t, rows)
	mustBeTheSame(t, rows, got)
	for _, r := range rows {
		require.Equal(t, 1, r.Attempt, "the machine was not to start anew")
	}
}

// mustBeTheSame: what was followed is what is in the table, in order, once.
func mustBeTheSame(t *testing.T, rows []row, events []client.Event) {
	t.Helper()
	var want, got []string
	for _, r := range rows {
		if r.Outcome != "refused" {
			want = append(want, r.Cursor+" "+r.Phase+" "+r.Status+" "+r.Message)
		}
	}
	for _, e := range events {
		got = append(got, e.Cursor+" "+e.Phase+" "+e.Status+" "+e.Message)
	}
	require.Equal(t, want, got)
}

// TestWaitingJobIsResumed: a step that was in the middle of a call when the
// server was killed goes on soon after the restart. River alone would find it 90 s
// after it was begun.
func TestWaitingJobIsResumed(t *testing.T) {
	ctx := deadline(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	events := s.follow(ctx)
	unblock := c.fault(t, vpcsim.Fault{Kind: vpcsim.FaultLatency, Operation: "GetBareMetalServer", LatencyMS: 30_000})
	s.order(ctx, "dark-1")
	eventually(ctx, t, "the server is being looked at", func() bool { return c.state(t).Calls["GetBareMetalServer"] > 0 })
	before := events.until(ctx, "it was ordered", func(e []client.Event) bool {
		_, ok := find(e, func(e client.Event) bool { return e.Phase == "server_requested" && e.Status == "success" })
		return ok
	})
	s.proc.kill()
	unblock()
	s.start(ctx)
	after := events.until(ctx, "the step goes on", func(e []client.Event) bool { return len(e) > len(before) })
	next := after[len(before)]
	require.Equal(t, "monitoring_start in_progress cloud_api", next.Phase+" "+next.Status+" "+next.Source)
	took := next.Timestamp.Sub(s.ready)
	t.Logf("resumed %s after the server was ready", took.Round(time.Millisecond))
	require.Less(t, took, 45*time.Second)
	c.mustCount(t, 1)
}
