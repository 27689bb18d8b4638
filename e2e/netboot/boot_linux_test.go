package netboot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// begin orders deployments of machines and switches all on at the same time.
func begin(t *testing.T, flags []string, machines ...*box) (s *slipway, ids []string) {
	t.Helper()
	network(t, machines...)
	s = serve(t, flags...)
	ids = s.order(t, machines...)
	for _, m := range machines {
		m.on(t)
	}
	t.Cleanup(func() {
		for _, m := range machines {
			t.Log(m.times())
		}
	})
	return s, ids
}

// installed checks what was on a machine's way to its installed system.
func installed(t *testing.T, machines ...*box) {
	t.Helper()
	for _, m := range machines {
		m.says(t, "iPXE", "Slipway: node "+m.name(), "slipway-installer: eth0 has "+m.address(), "Slipway: booting from the disk", "system: "+m.name()+" is up")
		require.NotContains(t, m.console.String(), "slr_", "a token is on the console of %s", m.name())
	}
}

// TestPXE: a BIOS machine and one with UEFI, both with the network first in their
// boot order, learn from proxyDHCP what to load, load iPXE over TFTP, and iPXE
// the rest over HTTP. After the installation they come to the network once more
// and are sent on to their disks.
func TestPXE(t *testing.T) {
	if !inside(t) {
		return
	}
	old, modern := &box{number: 1, firmware: bios}, &box{number: 2, firmware: uefi()}
	s, ids := begin(t, nil, old, modern)
	s.deployed(t, ids...)
	installed(t, old, modern)
	old.says(t, "undionly.kpxe")
	modern.says(t, ">>Start PXE over IPv4", "snponly.efi")
}

// TestHTTPBoot: firmware that cannot do PXE fetches the boot program over HTTP.
func TestHTTPBoot(t *testing.T) {
	soak(t)
	if !inside(t) {
		return
	}
	m := &box{number: 3, firmware: uefi(withoutPXE...)}
	s, ids := begin(t, nil, m)
	s.deployed(t, ids...)
	installed(t, m)
	m.says(t, ">>Start HTTP Boot over IPv4", "http://"+ourAddress+":8080/boot/programs/snponly.efi")
	require.NotContains(t, m.console.String(), ">>Start PXE")
}

// TestBootPort: the offer names no file, so firmware asks on port 4011.
func TestBootPort(t *testing.T) {
	soak(t)
	if !inside(t) {
		return
	}
	old, modern := &box{number: 4, firmware: bios}, &box{number: 5, firmware: uefi()}
	s, ids := begin(t, []string{"--proxydhcp-file=4011"}, old, modern)
	s.deployed(t, ids...)
	installed(t, old, modern)
	for _, m := range []*box{old, modern} {
		require.Regexp(t, "mac="+m.mac()+" port=4011 loader=pxe .*answer=acknowledged", s.log.String())
		require.NotRegexp(t, "mac="+m.mac()+" port=67 loader=pxe .*boot=[^\"]", s.log.String())
	}
}

// TestManyAtOnce: one switch of power for all, BIOS, PXE and HTTP.
func TestManyAtOnce(t *testing.T) {
	soak(t)
	if !inside(t) {
		return
	}
	machines := []*box{
		{number: 1, firmware: bios}, {number: 2, firmware: uefi()}, {number: 3, firmware: uefi(withoutPXE...)}, {number: 4, firmware: bios}, {number: 5, firmware: uefi()},
	}
	s, ids := begin(t, []string{"--download-slots=2"}, machines...)
	s.deployed(t, ids...)
	installed(t, machines...)
}

// TestPowerCut: a machine that loses its power in the middle of its installation
// fails when the phase's time is over, with what is known of it, and a retry
// brings it up from what is on its disks then.
func TestPowerCut(t *testing.T) {
	soak(t)
	if !inside(t) {
		return
	}
	const deadline = 3 * time.Minute
	m := &box{number: 6, firmware: uefi()}
	s, ids := begin(t, []string{"--deadline=installation=" + deadline.String()}, m)
	s.follow(t, "installing", func(d *client.State) bool { return d.PhaseKey == "installation" }, ids...)
	m.off()
	cut := time.Now()
	failed := s.follow(t, "failed", func(d *client.State) bool { return d.State == "FAILED" }, ids...)[0]
	require.WithinDuration(t, cut.Add(deadline), time.Now(), time.Minute, "by its deadline")
	require.NotNil(t, failed.Failure)
	require.Equal(t, "installation", failed.Failure.PhaseKey)
	require.Equal(t, "deadline_passed", failed.Failure.Code)
	require.Regexp(t, `^installation did not end within 3m0s`, failed.Failure.Message)

	_, err := s.api.Retry(t.Context(), ids[0], "")
	require.NoError(t, err)
	m.on(t)
	s.deployed(t, ids...)
	installed(t, m)
}
