package tftp

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A flood of read requests from many addresses, none of which ever acknowledges:
// sockets and goroutines are bounded by the places that there are, the log by its
// budget, and when the places are free again a machine boots.
func TestFloodFromManyAddresses(t *testing.T) {
	const addresses, each, places = 60, 20, 40
	var now atomic.Int64
	h := newHouse(t, Config{Total: places, PerClient: 2, Timeout: patience, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	sockets := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not tell which files are open")
		}
		return len(files)
	}
	flood := make([]*peer, addresses)
	for i := range flood {
		flood[i] = newPeer(t, fmt.Sprintf("127.9.%d.%d", i/250, 1+i%250))
	}
	files, routines := sockets(), runtime.NumGoroutine()
	for n := range each {
		for _, p := range flood {
			p.ask(h.addr, large, "blksize", "65464")
		}
		// The kernel drops what its buffer does not take: none is lost.
		h.until(func(s Stats) bool { return s.Requests == int64((n+1)*addresses) && s.Active+s.Limited == s.Requests })
	}
	s := h.server.Stats()
	require.Equal(t, []int64{places, addresses*each - places}, []int64{s.Active, s.Limited})
	const ours = 10 // of those who wait and count here
	require.Eventually(t, func() bool { return sockets() <= files+places+ours && runtime.NumGoroutine() <= routines+places+ours }, patience, time.Millisecond)
	require.Less(t, len(h.log.lines()), 300)
	machine := newPeer(t, "127.0.0.1")
	machine.ask(h.addr, small)
	_, text := machine.refused()
	require.Contains(t, text, "busy")
	for _, p := range flood { // every request was answered: with options, or with a refusal
		for range each {
			if b := p.receive(); b[1] == 6 {
				p.send(p.from, []byte{0, 5, 0, 0, 0})
			}
		}
	}
	h.until(func(s Stats) bool { return s.Active == 0 })
	machine.ask(h.addr, small)
	require.Equal(t, content(1000), machine.rest(1, 512))
}

// A client that acknowledges every block, but only just, does not have its place
// for ever.
func TestClientThatIsSlow(t *testing.T) {
	var now atomic.Int64
	h := newHouse(t, Config{Timeout: patience, Longest: time.Minute, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, large)
	for block := uint16(1); block <= 4; block++ {
		p.data(block)
		now.Add(20)
		p.ack(block)
	}
	_, text := p.refused()
	require.Contains(t, text, "too long")
	h.until(func(s Stats) bool { return s.TimedOut == 1 && s.Active == 0 })
}

// Modes other than octet: netascii is translated as RFC 764 has it, and is not
// what a program is asked for with; any other counts as octet.
func TestModes(t *testing.T) {
	h := newHouse(t, Config{})
	ascii := bytes.ReplaceAll(bytes.ReplaceAll(content(1000), []byte("\r"), []byte("\r\x00")), []byte("\n"), []byte("\r\n"))
	for mode, want := range map[string][]byte{"octet": content(1000), "netascii": ascii, "OCTET": content(1000), "mail": content(1000), "": content(1000)} {
		p := newPeer(t, "127.0.0.1")
		p.send(h.addr, []byte("\x00\x01"+small+"\x00"+mode+"\x00"))
		require.Equal(t, want, p.rest(1, 512), mode)
	}
	// The name ends at the zero: what follows is the mode, and never part of it.
	p := newPeer(t, "127.0.0.1")
	p.send(h.addr, []byte("\x00\x01"+small+"\x00/../../etc/passwd\x00octet\x00"))
	require.Equal(t, content(1000), p.rest(1, 512))
	p = newPeer(t, "127.0.0.1")
	p.send(h.addr, []byte("\x00\x01/etc/passwd\x00"+small+"\x00octet\x00"))
	p.refused()
}

// Options that are as long, as many or as odd as a request can carry.
func TestOddOptions(t *testing.T) {
	h := newHouse(t, Config{})
	var many []string
	for i := range 110 {
		many = append(many, fmt.Sprint(i%10), "")
	}
	for name, options := range map[string][]string{
		"many":                  many,
		"twice":                 {"tsize", "0", "tsize", "9", "blksize", "512", "blksize", "1024"},
		"a long number":         {"blksize", string(bytes.Repeat([]byte("0"), 400)) + "1024"},
		"a number with a sign":  {"blksize", "+1024", "tsize", "99999999999999999999"},
		"a number with a space": {"blksize", " 1024"},
		"no name":               {"", "1", "", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, "127.0.0.1")
			p.ask(h.addr, small, options...)
			b := p.receive()
			if b[1] == 6 { // an OACK: the block size in it holds
				p.send(p.from, []byte{0, 5, 0, 8, 0})
				return
			}
			require.Equal(t, content(1000)[:512], b[4:])
			p.send(p.from, []byte{0, 5, 0, 0, 0})
		})
	}
	h.until(func(s Stats) bool { return s.Active == 0 })
	p := newPeer(t, "127.0.0.1")
	p.ask(h.addr, small)
	require.Equal(t, content(1000), p.rest(1, 512))
}
