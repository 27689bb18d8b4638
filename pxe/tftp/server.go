package tftp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	pin "github.com/pin/tftp/v3"

	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/pxe/quiet"
)

// Programs is what can be asked for.
type Programs interface {
	Get(name string) (program.Program, bool)
}

// Config is what a Server is made of.
type Config struct {
	Programs Programs
	// Timeout is how long an acknowledgement may take before a block is sent
	// again; it is sent Retries+1 times. 0 = one second, 5.
	Timeout time.Duration
	Retries int
	// PerClient bounds the transfers of one address at the same time, Total those
	// of all; PerSecond the requests of one address, Burst those at once. 0 = the
	// defaults below.
	PerClient, Total int
	PerSecond        float64
	Burst            int
	// Longest is how long a transfer may take: a client that acknowledges every
	// block at the last moment would have its place for hours. 0 = 15 minutes.
	Longest time.Duration
	// Grace is how long transfers may go on after the server was told to stop;
	// 0 = three seconds.
	Grace  time.Duration
	Now    func() time.Time // of the limits; nil = the system's clock
	Logger *slog.Logger     // nil = slog.Default()
}

// The default limits. A machine needs one transfer at a time and some ten
// requests for a boot; many machines share an address behind a NAT.
const (
	defaultPerClient = 64
	defaultTotal     = 1024
	defaultPerSecond = 100
	defaultBurst     = 300
	// The largest program has a megabyte: 2,000 blocks of 512 bytes, and a link
	// that takes a tenth of a second for each is a very bad one.
	defaultLongest = 15 * time.Minute
)

// Server serves boot programs.
type Server struct {
	programs Programs
	timeout  time.Duration
	retries  int
	grace    time.Duration
	limits   *limits
	longest  time.Duration
	now      func() time.Time
	log      *slog.Logger
	noise    *quiet.Log // what strangers cause
	count    counters
	stopping atomic.Bool
}

// New makes a server.
func New(c Config) *Server {
	s := &Server{
		programs: c.Programs, timeout: cmp.Or(c.Timeout, time.Second), retries: cmp.Or(c.Retries, 5),
		grace: cmp.Or(c.Grace, 3*time.Second), longest: cmp.Or(c.Longest, defaultLongest), now: c.Now, log: c.Logger,
		limits: newLimits(cmp.Or(c.PerClient, defaultPerClient), cmp.Or(c.Total, defaultTotal), cmp.Or(c.PerSecond, float64(defaultPerSecond)), cmp.Or(c.Burst, defaultBurst)),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.noise = quiet.New(s.log, s.now)
	return s
}

// Serve answers on a listener until ctx ends, and closes it. Transfers that are
// under way then have the grace period to end; the others are told that the
// server stops. A server serves once.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	var writes func(string, io.WriterTo) error // nil: refused by the library, with the wrong code
	server := pin.NewServer(s.read, writes)
	server.SetTimeout(s.timeout)
	server.SetRetries(s.retries)
	// The library's default is a random pause before each repetition, on top of
	// the timeout that has already passed.
	server.SetBackoff(func(int) time.Duration { return 0 })
	server.SetHook(malformed{s})

	served, refused := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(l.reads) }()
	go func() { refused <- s.refuse(l.rest) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil
	case err = <-refused:
		refused <- nil
	}
	l.closeRest()
	ended := make(chan struct{})
	go func() { server.Shutdown(); close(ended) }()
	patience := time.NewTimer(s.grace)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
		s.stopping.Store(true) // the next block of each transfer is its last
		<-ended
	}
	if closeErr := l.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	err = errors.Join(err, <-served, <-refused)
	if err != nil {
		return fmt.Errorf("tftp: %w", err)
	}
	return nil
}

// errStopping ends transfers when the server stops.
var errStopping = errors.New("the server is stopping")

// read answers a read request. Its error is for the log alone: what the client
// is told was sent by the library before (abort sends ERROR 1 with the text).
func (s *Server) read(requested string, rf io.ReaderFrom) error {
	s.count.requests.Add(1)
	transfer, ok := rf.(pin.OutgoingTransfer)
	if !ok {
		return fmt.Errorf("the tftp library's sender is %T", rf)
	}
	udp := transfer.RemoteAddr()
	client := udp.AddrPort()
	ip := client.Addr().Unmap().WithZone("")
	release, err := s.limits.admit(ip, s.now())
	if err != nil {
		s.count.limited.Add(1)
		s.noise.Log(context.Background(), slog.LevelWarn, "tftp request refused", "client", ip, "file", printable(requested), "reason", err)
		return err
	}
	defer release()
	name, ok := programName(requested)
	p, found := program.Program{}, false
	if ok {
		p, found = s.programs.Get(name)
	}
	if !found {
		s.count.unknown.Add(1)
		s.noise.Log(context.Background(), slog.LevelInfo, "tftp request for an unknown file", "client", ip, "file", printable(requested))
		return errors.New("no such boot program")
	}
	transfer.SetSize(p.Size) // tsize (RFC 2349); the library answers it only if it was asked for
	s.count.active.Add(1)
	defer s.count.active.Add(-1)
	begun := time.Now()
	sent, err := rf.ReadFrom(&source{program: p.Reader(), stopping: &s.stopping, late: s.now().Add(s.longest), now: s.now})
	s.count.bytes.Add(sent)
	s.ended(ip, p, sent, time.Since(begun), err)
	return err
}

// errSlow ends transfers that have taken too long.
var errSlow = errors.New("the transfer has taken too long")

// source is a program that ends when the server stops, or after the time that a
// transfer may take.
type source struct {
	program  *bytes.Reader
	stopping *atomic.Bool
	late     time.Time
	now      func() time.Time
}

func (s *source) Read(b []byte) (int, error) {
	if s.stopping.Load() {
		return 0, errStopping
	}
	if s.now().After(s.late) {
		return 0, errSlow
	}
	return s.program.Read(b)
}

// ended counts and logs what became of a transfer.
func (s *Server) ended(client netip.Addr, p program.Program, sent int64, took time.Duration, err error) {
	attrs := []any{"client", client, "file", p.Name, "bytes", sent, "size", p.Size, "duration", took}
	block, code, said := peerError(err)
	var timeout net.Error
	switch {
	case err == nil:
		s.count.served.Add(1)
		s.log.Info("tftp transfer", attrs...)
	case code >= 0 && block == 0:
		// The client has read our options and goes. EDK2 asks for tsize alone
		// first and ends that request with ERROR 8 "User aborted".
		s.count.probes.Add(1)
		s.log.Debug("tftp size probe", attrs...)
	case code >= 0:
		s.count.aborted.Add(1)
		s.noise.Log(context.Background(), slog.LevelInfo, "tftp transfer ended by the client", append(attrs, "code", code, "said", printable(said))...)
	case errors.Is(err, errStopping):
		s.count.failed.Add(1)
		s.log.Info("tftp transfer cut: the server stops", attrs...)
	case errors.As(err, &timeout) && timeout.Timeout():
		s.count.timedOut.Add(1)
		s.noise.Log(context.Background(), slog.LevelWarn, "tftp transfer given up: the client does not acknowledge", attrs...)
	case errors.Is(err, errSlow):
		s.count.timedOut.Add(1)
		s.noise.Log(context.Background(), slog.LevelWarn, "tftp transfer given up: it takes too long", attrs...)
	default:
		s.count.failed.Add(1)
		s.log.Warn("tftp transfer failed", append(attrs, "error", err)...)
	}
}

// peerError takes the client's ERROR packet out of the library's error, which
// has it as text only. code is -1 if it was none.
func peerError(err error) (block, code int, said string) {
	if err == nil {
		return 0, -1, ""
	}
	head, said, _ := strings.Cut(err.Error(), ", error: ")
	if n, _ := fmt.Sscanf(head, "sending block %d: code=%d", &block, &code); n != 2 {
		return 0, -1, ""
	}
	return block, code, strings.TrimRight(said, "\x00")
}

// malformed counts read requests that the library could not take apart. It is
// told of transfers too, which Server.read knows better: those have an address.
type malformed struct{ s *Server }

func (malformed) OnSuccess(pin.TransferStats) {}

func (m malformed) OnFailure(stats pin.TransferStats, err error) {
	if stats.RemoteAddr == nil {
		m.s.count.malformed.Add(1)
		m.s.log.Debug("tftp request that is none", "error", err)
	}
}
