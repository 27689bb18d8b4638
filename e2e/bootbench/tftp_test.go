package bootbench

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/slipwayhq/slipway/tools/present"
)

// full measures large files with many clients too, which takes an hour.
const fullEnv = "SLIPWAY_BENCH_FULL"

// BenchmarkTFTP is a boot storm: so many clients fetch the same file at once,
// each block acknowledged before the next, as boot ROMs do it. An operation is
// the whole storm.
func BenchmarkTFTP(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "files")
	require.NoError(b, os.Mkdir(dir, 0o755))
	sizes := []int{1, 64}
	for _, mb := range sizes {
		file(b, filepath.Join(dir, name(mb)), mb<<20)
	}
	for _, d := range tftpDaemons(b, dir) {
		reachable(b, d, dir, sizes)
		for _, mb := range sizes {
			for _, clients := range []int{1, 64, 256} {
				if mb > 1 && clients > 1 && os.Getenv(fullEnv) == "" {
					continue
				}
				for _, block := range []int{512, 1432} {
					b.Run(fmt.Sprintf("%s/MB=%d/clients=%d/blksize=%d", d.name, mb, clients, block), func(b *testing.B) {
						measure(b, d, int64(clients)*int64(mb)<<20, func() error {
							var all errgroup.Group
							for range clients {
								all.Go(func() error { return fetch(d.addr, name(mb), mb<<20, block, io.Discard) })
							}
							return all.Wait()
						})
					})
				}
			}
		}
	}
}

func name(mb int) string { return strconv.Itoa(mb) + "mb.pxe" }

// tftpDaemons are ours and those of others that are installed and may run here.
func tftpDaemons(b *testing.B, dir string) []*daemon {
	b.Helper()
	list := []*daemon{ours(b, dir)}
	if os.Geteuid() != 0 {
		b.Log("tftpd-hpa and dnsmasq are left out: they need root")
		return list
	}
	if path, err := exec.LookPath("/usr/sbin/in.tftpd"); err == nil {
		addr := address("127.0.0.1", free(b))
		d := start(b, "tftpd-hpa", b.Output(), exec.Command(path, "--foreground", "--address", addr, "--user", "nobody", "--secure", dir))
		d.addr = addr
		list = append(list, d)
	}
	if path, err := exec.LookPath("/usr/sbin/dnsmasq"); err == nil {
		// Its TFTP port is always 69: an address of its own keeps out of the way.
		d := start(b, "dnsmasq", b.Output(), exec.Command(path, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file=", "--user=root", "--log-facility=-", "--quiet-tftp",
			"--enable-tftp", "--tftp-root="+dir, "--tftp-max=1000", "--listen-address=127.0.69.1", "--bind-interfaces"))
		d.addr = "127.0.69.1:69"
		list = append(list, d)
	}
	if len(list) < 3 {
		present.Missing(b, "the other servers are not installed: apt-get install tftpd-hpa dnsmasq-base")
	}
	return list
}

// reachable waits until a server answers, and checks that it sends what is in
// the files: the measured transfers only count.
func reachable(b *testing.B, d *daemon, dir string, sizes []int) {
	b.Helper()
	require.Eventually(b, func() bool { return fetch(d.addr, name(1), 1<<20, 1432, io.Discard) == nil }, 20*time.Second, 50*time.Millisecond, d.name)
	for _, mb := range sizes {
		want, err := os.ReadFile(filepath.Join(dir, name(mb)))
		require.NoError(b, err)
		for _, block := range []int{512, 1432} {
			sum := sha256.New()
			require.NoError(b, fetch(d.addr, name(mb), mb<<20, block, sum), d.name)
			require.Equal(b, sha256.Sum256(want), [sha256.Size]byte(sum.Sum(nil)), "%s sends something else", d.name)
		}
	}
}

// fetch gets a file in lock-step and checks its length. A block that does not
// come within a second is asked for again.
func fetch(addr, file string, size, block int, sink io.Writer) error {
	to, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
	if err != nil {
		return err
	}
	defer conn.Close()
	last := append(append([]byte{0, 1}, file...), "\x00octet\x00blksize\x00"+strconv.Itoa(block)+"\x00"...)
	peer, want, got := to.AddrPort(), uint16(0), 0 // block 0 is the answer to the options
	buf := make([]byte, block+4)
	for tries := 0; ; {
		if _, err := conn.WriteToUDPAddrPort(last, peer); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, from, err := next(conn, buf, want)
		if errors.Is(err, os.ErrDeadlineExceeded) && tries < 30 {
			tries++
			continue
		}
		if err != nil {
			return fmt.Errorf("block %d after %d bytes: %w", want, got, err)
		}
		tries = 0
		peer, last = from, binary.BigEndian.AppendUint16([]byte{0, 4}, want)
		if want != 0 || got != 0 {
			got += n - 4
			if _, err := sink.Write(buf[4:n]); err != nil {
				return err
			}
			if n-4 < block {
				_, err = conn.WriteToUDPAddrPort(last, peer)
				if got != size {
					err = errors.Join(err, fmt.Errorf("%d bytes of %d", got, size))
				}
				return err
			}
		}
		want++
	}
}

// next reads until the packet that is waited for is there: repetitions of
// earlier ones are passed over.
func next(conn *net.UDPConn, buf []byte, want uint16) (int, netip.AddrPort, error) {
	const data, failure, options = 3, 5, 6
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return 0, from, err
		}
		if n < 4 {
			continue
		}
		switch op := binary.BigEndian.Uint16(buf); {
		case op == failure:
			return 0, from, fmt.Errorf("ERROR %d: %s", binary.BigEndian.Uint16(buf[2:]), buf[4:n])
		case op == options && want == 0, op == data && binary.BigEndian.Uint16(buf[2:]) == want:
			return n, from, nil
		}
	}
}
