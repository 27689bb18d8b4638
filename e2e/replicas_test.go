package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// balancer hands TCP connections to whichever replica answers, in turn.
type balancer struct {
	net.Listener
	mu      sync.Mutex
	targets []string
	next    int
}

// balance starts one; it ends with the test.
func balance(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &balancer{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.serve(in) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		all.Wait()
	})
	return b
}

func (b *balancer) serve(in net.Conn) {
	defer in.Close()
	b.mu.Lock()
	targets := append([]string(nil), b.targets...)
	b.next++
	first := b.next
	b.mu.Unlock()
	for i := range targets {
		out, err := net.Dial("tcp", targets[(first+i)%len(targets)])
		if err != nil {
			continue // it is dead: the next one
		}
		var both sync.WaitGroup
		pipe := func(to, from net.Conn) {
			_, _ = io.Copy(to, from) // an end of either side ends both
			_ = to.Close()
			_ = from.Close()
		}
		both.Go(func() { pipe(out, in) })
		pipe(in, out)
		both.Wait()
		return
	}
}

// TestOneOfTwoReplicasIsKilled: two servers on one PostgreSQL, behind one
// address; what one is told, the subscribers of the other hear, and what one
// was doing when it is killed, the other does.
func TestOneOfTwoReplicasIsKilled(t *testing.T) {
	ctx := deadline(t)
	database := storetest.EmptyPostgresURL(t)
	require.Equal(t, 1, slipway(t, nil, "migrate", "--check", "--database="+database).code, "an empty database has everything pending")
	must(t, "migrate", "--database="+database)
	require.Equal(t, 0, slipway(t, nil, "migrate", "--check", "--database="+database).code)

	c := startCloud(ctx, t)
	front := balance(t)
	key := filepath.Join(t.TempDir(), "id_ed25519")
	flags := []string{"--database=" + database, "--ssh-key-file=" + key, "--base-url=http://" + front.Addr().String()}
	a, b := newServer(t, c, "replica a", flags...), newServer(t, c, "replica b", flags...)
	front.targets = []string{a.addr, b.addr}
	a.start(ctx)
	b.useToken(a.token)

	// Only a is there, so this step is a's, and it hangs in its call.
	unblock := c.fault(t, vpcsim.Fault{Kind: vpcsim.FaultLatency, Operation: "GetBareMetalServer", LatencyMS: 60_000})
	dark := a.order(ctx, "dark-1")["dark-1"]
	eventually(ctx, t, "the server is being looked at", func() bool { return c.state(t).Calls["GetBareMetalServer"] > 0 })
	b.start(ctx)
	events := b.follow(ctx)
	socket := b.subscribe(ctx, t, eventsQuery, nil)

	t.Run("subscribers of the other replica", func(t *testing.T) {
		got := mustReport(t, a, dark, "bios_update", "told to a")
		events.until(ctx, "the event stream of b has it", func(e []client.Event) bool {
			_, ok := find(e, func(e client.Event) bool { return e.Sequence == got && e.Message == "told to a" })
			return ok
		})
		socket.untilMessage(ctx, t, "told to a")
		tellA := a.subscribe(ctx, t, eventsQuery, nil)
		mustReport(t, b, dark, "bios_update", "told to b")
		tellA.untilMessage(ctx, t, "told to b")
	})

	names := []string{"pair-1", "pair-2", "pair-3"}
	a.order(ctx, names...)
	events.until(ctx, "one of them installs", func(e []client.Event) bool {
		_, ok := find(e, func(e client.Event) bool { return e.Phase == "image_download" })
		return ok
	})
	a.proc.kill()
	killed := time.Now()
	unblock()
	after := events.until(ctx, "b has taken over", func(e []client.Event) bool {
		_, ok := find(e, takenOver(dark, killed))
		return ok
	})
	next, _ := find(after, takenOver(dark, killed))
	t.Logf("taken over %s after the kill", next.Timestamp.Sub(killed).Round(time.Millisecond))
	require.Less(t, next.Timestamp.Sub(killed), time.Minute, "River alone would find it 90 s after it was begun")

	got := events.until(ctx, "all are deployed", func(e []client.Event) bool { return count(e, "succeeded") == len(names) })
	c.mustCount(t, len(names)+1)
	rows := b.table()
	mustBeWhole(t, rows)
	from := 0
	for rows[from].Cursor != got[0].Cursor {
		from++
	}
	mustBeTheSame(t, rows[from:from+len(got)], got)
}

// takenOver matches what the step does first once somebody does it again.
func takenOver(d client.Deployment, since time.Time) func(client.Event) bool {
	return func(e client.Event) bool {
		return "dep_"+text(e.DeploymentID) == d.ID && e.Phase == "monitoring_start" && e.Status == "in_progress" && e.Timestamp.After(since)
	}
}

// mustReport tells a server of a step of a deployment, as an operator, and
// gives the sequence of the event.
func mustReport(t *testing.T, s *server, d client.Deployment, step, message string) int {
	t.Helper()
	state, err := s.api.Deployment(context.Background(), d.ID)
	require.NoError(t, err)
	require.NotNil(t, state.Node.ManagementIp)
	got := s.curl(t, s.base+"/api/status/phase", "-H", "Authorization: Bearer "+s.token, "-d",
		fmt.Sprintf(`{"server_ip":%q,"phase":%q,"status":"in_progress","message":%q}`, *state.Node.ManagementIp, step, message))
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "step", got.json(t)["outcome"])
	return int(got.json(t)["sequence"].(float64))
}
