package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pin "github.com/pin/tftp/v3"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/server"
)

// Only machines whose deployment is not over are told what to boot.
func TestWhoMayBoot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		macs := map[string]string{"queued": "52:54:00:00:00:01", "running": "52:54:00:00:00:02", "succeeded": "52:54:00:00:00:03", "failed": "52:54:00:00:00:04", "": "52:54:00:00:00:05"}
		require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error {
			c := st.EntTx(tx)
			for state, mac := range macs {
				n := c.Node.Create().SetName("node-" + mac[15:]).SetProvider(deploy.ProviderRack).SetMAC(mac).SaveX(t.Context())
				if state == "" { // never deployed
					continue
				}
				d := c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState(state).SetPhase("pending").SetPhaseStatus("in_progress").SetProvider(deploy.ProviderRack).
					SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SaveX(t.Context())
				n.Update().SetCurrentDeploymentID(d.ID).ExecX(t.Context())
			}
			return nil
		}))
		who := guests{machines: query.NewMachines(st.Ent())}
		for state, mac := range macs {
			known, err := who.Known(t.Context(), mac)
			require.NoError(t, err)
			require.Equal(t, state == "queued" || state == "running", known, state)
		}
		known, err := who.Known(t.Context(), "02:00:00:00:00:99")
		require.NoError(t, err)
		require.False(t, known)
		who.everybody = true
		known, err = who.Known(t.Context(), "02:00:00:00:00:99")
		require.NoError(t, err)
		require.True(t, known)
	})
	_, err := guests{machines: nobody{}}.Known(t.Context(), "02:00:00:00:00:99")
	require.Error(t, err)
}

type nobody struct{}

func (nobody) FindMachine(context.Context, query.MachineHint) (query.Machine, error) {
	return query.Machine{}, errors.New("the database is away")
}

// What is on serves the operator's programs over TFTP, is counted, and gives its
// port back.
func TestNetbootParts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "own.kpxe"), []byte("a program"), 0o600))
	log := slog.New(slog.DiscardHandler)
	n, err := openNetboot(t.Context(), netbootFlags{TFTPListen: "127.0.0.1:0", BootProgramsDir: dir}, "http://127.0.0.1:1", guests{}, log)
	require.NoError(t, err)
	metrics := server.NewMetrics()
	n.watch(metrics)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	n.run(func(name string, run func(context.Context) error) {
		require.Equal(t, "tftp", name)
		go func() { ended <- run(ctx) }()
	})
	c, err := pin.NewClient(n.files.Addr().String())
	require.NoError(t, err)
	wt, err := c.Receive("own.kpxe", "octet")
	require.NoError(t, err)
	var got bytes.Buffer
	_, err = wt.WriteTo(&got)
	require.NoError(t, err)
	require.Equal(t, "a program", got.String())
	require.Eventually(t, func() bool { return n.tftp.Stats().Served == 1 }, 2*time.Minute, time.Millisecond)
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	var bytesSent float64
	for _, f := range families {
		if f.GetName() == "slipway_tftp_bytes_total" {
			bytesSent = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.InDelta(t, 9, bytesSent, 0)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, n.close())

	n, err = openNetboot(t.Context(), netbootFlags{}, "http://127.0.0.1:1", guests{}, log)
	require.NoError(t, err)
	n.run(func(string, func(context.Context) error) { t.Error("all of it is off by default") })
	require.NoError(t, n.close())
}

func TestNetbootSettings(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]struct {
		flags netbootFlags
		want  string
	}{
		"no interface":      {netbootFlags{ProxyDHCP: "on"}, "--pxe-interface"},
		"unknown interface": {netbootFlags{ProxyDHCP: "on", PXEInterface: "nosuch0"}, "nosuch0"},
		"IPv6":              {netbootFlags{PXEAddress: "fd77::1"}, "--pxe-address"},
		"no directory":      {netbootFlags{BootProgramsDir: filepath.Join(t.TempDir(), "none")}, "none"},
		"port taken twice":  {netbootFlags{TFTPListen: "127.0.0.1:nothing"}, "port"},
	} {
		_, err := openNetboot(t.Context(), c.flags, "http://127.0.0.1:1", guests{}, log)
		require.ErrorContains(t, err, c.want, name)
	}
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 8080}
	require.Equal(t, "http://127.0.0.1:8080", netbootFlags{PXEInterface: "lo"}.baseURL(everywhere))
	require.Equal(t, "http://10.0.0.5:8080", netbootFlags{PXEInterface: "lo", PXEAddress: "10.0.0.5"}.baseURL(everywhere))
	require.Empty(t, netbootFlags{}.baseURL(everywhere), "network boot is not set up")
	require.Empty(t, netbootFlags{PXEInterface: "lo"}.baseURL(&net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: 8080}), "it listens on one address")
	a, err := netbootFlags{}.address()
	require.NoError(t, err)
	require.Equal(t, netip.Addr{}, a)
}

func TestBootProgramsAreListed(t *testing.T) {
	p, err := program.New("undionly.kpxe", "1.0.0+git", time.Unix(0, 0), []byte("a program"))
	require.NoError(t, err)
	bare, err := program.New("other.kpxe", "", time.Unix(0, 0), []byte("x"))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, listPrograms(&out, program.NewSet(p, bare)))
	require.Regexp(t, `undionly.kpxe\s+bios\s+1.0.0\+git\s+9\s+`+p.SHA256, out.String())
	require.Regexp(t, `other.kpxe\s+bios\s+not known`, out.String())
	require.Contains(t, out.String(), "no program for efi-arm64")
	require.Error(t, listPrograms(broken{}, program.NewSet(p)))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
