package tftp

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pin "github.com/pin/tftp/v3"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// RFC 1350: blocks of 512 bytes, each acknowledged; a shorter one is the last.
func TestTransferWithoutOptions(t *testing.T) {
	h := newHouse(t, Config{})
	for _, c := range []struct {
		file   string
		blocks []int
	}{{small, []int{512, 488}}, {even, []int{512, 512, 0}}} {
		p := newPeer(t, "127.0.0.1")
		p.ask(h.addr, c.file)
		var all []byte
		for i, size := range c.blocks {
			b := p.data(uint16(i + 1))
			require.Len(t, b, size)
			all = append(all, b...)
			p.ack(uint16(i + 1))
		}
		require.Equal(t, content(len(all)), all)
		require.NotEqual(t, h.addr.Port(), p.from.Port(), "RFC 1350 section 4: the server chooses a new TID")
	}
	s := h.until(func(s Stats) bool { return s.Served == 2 && s.Active == 0 })
	require.Equal(t, Stats{Requests: 2, Served: 2, Bytes: 2024}, s)
	require.Contains(t, h.log.lines(), "INFO tftp transfer client=127.0.0.1 file="+small+" bytes=1000 size=1000 duration")
}

func TestOptions(t *testing.T) {
	h := newHouse(t, Config{})
	for name, c := range map[string]struct {
		options []string
		want    map[string]string // nil = no OACK
		size    int               // of a block
	}{
		// RFC 2348: what iPXE asks for.
		"blksize and tsize": {[]string{"blksize", "1432", "tsize", "0"}, map[string]string{"blksize": "1432", "tsize": "200000"}, 1432},
		// RFC 2348: up to 65464; loopback's MTU allows it.
		"largest blksize": {[]string{"blksize", "65464"}, map[string]string{"blksize": "65464"}, 65464},
		// RFC 2349: a size of 0 asks for the size of the file.
		"tsize": {[]string{"tsize", "0"}, map[string]string{"tsize": "200000"}, 512},
		// RFC 2349: in a read request 0 is sent; what else a client sends there is answered with the size.
		"odd tsize": {[]string{"tsize", "-7"}, map[string]string{"tsize": "200000"}, 512},
		// RFC 2347: what the server does not acknowledge is not used. EDK2 asks for a windowsize (RFC 7440).
		"windowsize": {[]string{"blksize", "1468", "windowsize", "4"}, map[string]string{"blksize": "1468"}, 1468},
		"unknown":    {[]string{"colour", "blue"}, nil, 512},
		// RFC 2348 allows 8 to 65464; below 512 is not acknowledged, so the default is used.
		"small blksize":   {[]string{"blksize", "8"}, nil, 512},
		"too large":       {[]string{"blksize", "70000"}, nil, 512},
		"no number":       {[]string{"blksize", "big"}, nil, 512},
		"without a value": {[]string{"blksize"}, nil, 512},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, "127.0.0.1")
			p.ask(h.addr, large, c.options...)
			if c.want != nil {
				require.Equal(t, c.want, p.oack())
				p.ack(0) // RFC 2347: an OACK is acknowledged as block 0
			}
			require.True(t, bytes.Equal(content(200_000), p.rest(1, c.size)), "the content differs")
		})
	}
}

// A block that is not acknowledged is sent again after the timeout; one that is
// acknowledged twice is not (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1).
func TestRetransmission(t *testing.T) {
	h := newHouse(t, Config{Timeout: 100 * time.Millisecond})
	p := newPeer(t, "127.0.0.1")
	begun := time.Now()
	p.ask(h.addr, large)
	first := p.data(1)
	require.Equal(t, first, p.data(1), "the same block again")
	require.GreaterOrEqual(t, time.Since(begun), 100*time.Millisecond)
	p.ack(1)
	p.data(2)

	h = newHouse(t, Config{Timeout: patience})
	p = newPeer(t, "127.0.0.1")
	p.ask(h.addr, large)
	p.data(1)
	p.ack(1)
	p.ack(1)
	p.data(2)
	p.ack(1)
	p.ack(2)
	p.data(3) // and not 2 again
	p.send(p.from, []byte{0, 5, 0, 0, 0})
	h.until(func(s Stats) bool { return s.Active == 0 })
}

// A client that is gone costs Retries+1 packets and then nothing.
func TestClientThatIsGone(t *testing.T) {
	h := newHouse(t, Config{Timeout: 20 * time.Millisecond, Retries: 2})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, small)
	for range 3 {
		p.data(1)
	}
	_, text := p.refused()
	require.Contains(t, text, "timeout")
	s := h.until(func(s Stats) bool { return s.TimedOut == 1 && s.Active == 0 })
	require.Zero(t, s.Served)
	_, more := p.within(100 * time.Millisecond)
	require.False(t, more)
}

// A packet from another port than the client's is not part of its transfer.
func TestStrangerInATransfer(t *testing.T) {
	h := newHouse(t, Config{Timeout: patience})
	p, other := newPeer(t, "127.0.0.1"), newPeer(t, "127.0.0.1")
	p.ask(h.addr, even)
	p.data(1)
	other.send(p.from, []byte{0, 4, 0, 1})
	other.send(p.from, []byte{0, 5, 0, 0, 0})
	other.send(p.from, nil)
	p.ack(1)
	p.data(2)
	p.ack(2)
	p.data(3)
	p.ack(3)
	h.until(func(s Stats) bool { return s.Served == 1 })
}

// EDK2 asks for the size alone first and ends that request with ERROR 8. This is
// how it works and alarms nobody.
func TestSizeProbe(t *testing.T) {
	h := newHouse(t, Config{})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, small, "tsize", "0", "blksize", "1468", "windowsize", "4")
	require.Equal(t, "1000", p.oack()["tsize"])
	p.send(p.from, append([]byte{0, 5, 0, 8}, "User aborted\x00"...))
	s := h.until(func(s Stats) bool { return s.Probes == 1 && s.Active == 0 })
	require.Equal(t, Stats{Requests: 1, Probes: 1}, s)
	for _, line := range h.log.lines() {
		require.True(t, strings.HasPrefix(line, "DEBUG"), line)
	}
}

func TestClientEndsATransfer(t *testing.T) {
	h := newHouse(t, Config{})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, even)
	p.data(1)
	p.send(p.from, append([]byte{0, 5, 0, 3}, "disk\nfull\x00"...))
	s := h.until(func(s Stats) bool { return s.Aborted == 1 && s.Active == 0 })
	require.Zero(t, s.Failed+s.TimedOut+s.Probes)
	require.Contains(t, strings.Join(h.log.lines(), "\n"), `code=3 said=disk\nfull`)
}

// Only names of the set are served, whatever is put in front of them.
func TestNames(t *testing.T) {
	h := newHouse(t, Config{})
	for _, name := range []string{small, "/" + small, "tftpboot/" + small, "//srv//tftp/" + small, `\` + small, `boot\` + small, "./" + small, "%2e%2e/" + small} {
		p := newPeer(t, "127.0.0.1")
		p.ask(h.addr, name)
		require.Equal(t, content(1000), p.rest(1, 512), name)
	}
	for _, name := range []string{
		"", "/", "..", "unknown.efi", "../" + small, "a/../" + small, `..\` + small, "../../../../etc/passwd", "/etc/passwd", "/proc/self/environ",
		small + "/x", strings.ToUpper(small), small + " ", strings.Repeat("a", 400), "\xff\xfe",
	} {
		p := newPeer(t, "127.0.0.1")
		p.ask(h.addr, name)
		code, text := p.refused()
		require.Equal(t, uint16(1), code, "RFC 1350 section 5: file not found, for %q", name)
		require.Equal(t, "no such boot program", text)
	}
	h.until(func(s Stats) bool { return s.Unknown == 15 && s.Served == 8 })
	for _, line := range h.log.lines() {
		require.Less(t, len(line), 300, "what a stranger sends does not fill the log")
		require.NotContains(t, line, "\xff")
	}
}

func TestReadOnly(t *testing.T) {
	h := newHouse(t, Config{})
	for name, options := range map[string][]string{small: nil, "new.kpxe": {"tsize", "5"}, "../../etc/passwd": nil} {
		p := newPeer(t, "127.0.0.1")
		p.send(h.addr, request(opWrite, name, options...))
		code, text := p.refused()
		require.Equal(t, uint16(codeAccess), code, "RFC 1350 section 5: access violation")
		require.Contains(t, text, "read-only")
	}
	require.Equal(t, int64(3), h.until(func(s Stats) bool { return s.Refused == 3 }).Refused)
	require.Zero(t, h.server.Stats().Requests, "the library never saw them")
}

// What is no request is refused or passed over, and the server goes on.
func TestPacketsThatAreNone(t *testing.T) {
	h := newHouse(t, Config{})
	for _, packet := range [][]byte{{0, 3, 0, 1, 'x'}, {0, 4, 0, 1}, {0, 6, 'a', 0}, {0, 0, 0, 0}, {9, 9, 9, 9}, {1, 1, 'a', 0, 'b', 0}} {
		p := newPeer(t, "127.0.0.1")
		p.send(h.addr, packet)
		code, _ := p.refused()
		require.Equal(t, uint16(codeIllegal), code, "%q", packet)
	}
	silent := newPeer(t, "127.0.0.1")
	for _, packet := range [][]byte{nil, {0}, {0, 1}, {0, 2}, {0, 5}, {0, 5, 0, 0, 0}, {0, 1, 'a'}, {0, 1, 'a', 'b'}} {
		silent.send(h.addr, packet)
	}
	h.until(func(s Stats) bool { return s.Malformed == 6+8 })
	_, answered := silent.within(50 * time.Millisecond)
	require.False(t, answered)
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, small)
	require.Equal(t, content(1000), p.rest(1, 512))
}

func TestLimitOfTransfers(t *testing.T) {
	h := newHouse(t, Config{PerClient: 1, Total: 2, Timeout: patience})
	a, again, b, c := newPeer(t, "127.0.0.1"), newPeer(t, "127.0.0.1"), newPeer(t, "127.0.0.2"), newPeer(t, "127.0.0.3")
	a.ask(h.addr, small)
	a.data(1)
	again.ask(h.addr, small)
	_, text := again.refused()
	require.Contains(t, text, "too many transfers to this address")
	b.ask(h.addr, small)
	b.data(1)
	c.ask(h.addr, small)
	_, text = c.refused()
	require.Contains(t, text, "busy")
	for _, p := range []*peer{a, b} {
		p.ack(1)
		p.data(2)
		p.ack(2)
	}
	h.until(func(s Stats) bool { return s.Served == 2 && s.Active == 0 && s.Limited == 2 })
	for _, p := range []*peer{newPeer(t, "127.0.0.1"), newPeer(t, "127.0.0.3")} { // places are given back
		p.ask(h.addr, small)
		require.Equal(t, content(1000), p.rest(1, 512))
	}
}

func TestLimitOfRequests(t *testing.T) {
	var now atomic.Int64
	h := newHouse(t, Config{PerSecond: 1, Burst: 3, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	p := newPeer(t, "127.0.0.1")
	for range 3 {
		p.ask(h.addr, "unknown")
		p.refused()
	}
	p.ask(h.addr, small)
	_, text := p.refused()
	require.Contains(t, text, "too many requests")
	other := newPeer(t, "127.0.0.2")
	other.ask(h.addr, small)
	require.Equal(t, content(1000), other.rest(1, 512), "each address has its own budget")
	now.Add(1)
	p.ask(h.addr, small)
	require.Equal(t, content(1000), p.rest(1, 512))
	p.send(h.addr, request(opWrite, small)) // the budget is used up: not even an ERROR
	h.until(func(s Stats) bool { return s.Refused == 1 })
	_, answered := p.within(50 * time.Millisecond)
	require.False(t, answered)
}

// What is remembered of addresses is bounded, and places in use are not
// forgotten.
func TestAddressesAreForgotten(t *testing.T) {
	l := newLimits(1, 10, 1, 1)
	now := time.Unix(0, 0)
	_, err := l.admit(h4(1), now)
	require.NoError(t, err)
	for i := range 3 * keep {
		release, err := l.admit(h4(i+2), now)
		require.NoError(t, err)
		release()
	}
	require.LessOrEqual(t, len(l.clients), keep+2)
	_, err = l.admit(h4(1), now.Add(time.Hour))
	require.ErrorIs(t, err, errPerClient)
}

// A transfer that is under way when the server stops is finished; new requests
// are not taken.
func TestStop(t *testing.T) {
	h := newHouse(t, Config{Grace: patience})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, large, "blksize", "1432")
	p.oack()
	p.ack(0)
	require.Len(t, p.data(1), 1432)
	h.stop()
	require.Eventually(t, func() bool { // the port is free again: no new requests
		l, err := Listen(t.Context(), h.addr.String())
		return err == nil && l.Close() == nil
	}, patience, time.Millisecond)
	p.ack(1)
	require.True(t, bytes.Equal(content(200_000)[1432:], p.rest(2, 1432)))
	err := <-h.ended
	h.ended <- err
	require.NoError(t, err)
	require.Equal(t, int64(1), h.server.Stats().Served)
}

// One that does not end is cut after the grace period, and told so.
func TestStopIsNotHeldUp(t *testing.T) {
	h := newHouse(t, Config{Grace: time.Millisecond, Timeout: patience})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, large)
	p.data(1)
	h.stop()
	require.Eventually(t, h.server.stopping.Load, patience, time.Millisecond)
	p.ack(1)
	_, text := p.refused()
	require.Contains(t, text, "stopping")
	err := <-h.ended
	h.ended <- err
	require.NoError(t, err)
	require.Equal(t, int64(1), h.server.Stats().Failed)
}

// The answer comes from the address that was asked, which firmware insists on.
func TestAnswersFromTheAddressThatWasAsked(t *testing.T) {
	h := newHouse(t, Config{})
	l, err := Listen(t.Context(), ":0")
	require.NoError(t, err)
	everywhere := New(Config{Programs: h.server.programs, Logger: h.server.log})
	ended := make(chan error, 1)
	go func() { ended <- everywhere.Serve(t.Context(), l) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	for _, ip := range []string{"127.0.0.1", "127.0.0.77"} {
		to := l.Addr().String()
		_, port, _ := strings.Cut(to, ":")
		p := newPeer(t, "127.0.0.1")
		p.ask(addrPort(t, ip+":"+port), small)
		require.Equal(t, content(1000), p.rest(1, 512))
		require.Equal(t, ip, p.from.Addr().String())
	}
}

func TestListen(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	_, err = Listen(t.Context(), l.Addr().String())
	require.ErrorContains(t, err, "another program has it")
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	for _, address := range []string{"127.0.0.1", "127.0.0.1:tftp", "127.0.0.1:99999", "192.0.2.1:69"} {
		_, err = Listen(t.Context(), address)
		require.Error(t, err, address)
	}
}

// Clients that others wrote: this library's, curl's, Debian's tftp.
func TestOtherClients(t *testing.T) {
	h := newHouse(t, Config{})
	port := strconv.Itoa(int(h.addr.Port()))
	c, err := pin.NewClient(h.addr.String())
	require.NoError(t, err)
	c.SetBlockSize(1400)
	c.RequestTSize(true)
	wt, err := c.Receive(large, "octet")
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = wt.WriteTo(&b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content(200_000), b.Bytes()))

	for _, size := range []string{"512", "1432", "65464"} {
		out, err := exec.CommandContext(t.Context(), present.Command(t, "curl", "curl"), "-sS", "--tftp-blksize", size, "tftp://"+h.addr.String()+"/"+large).Output()
		require.NoError(t, err)
		require.True(t, bytes.Equal(content(200_000), out), size)
	}
	file := filepath.Join(t.TempDir(), "got")
	out, err := exec.CommandContext(t.Context(), present.Command(t, "tftp", "tftp-hpa"), "-m", "binary", "127.0.0.1", port, "-c", "get", large, file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.True(t, bytes.Equal(content(200_000), read(t, file)))
}
