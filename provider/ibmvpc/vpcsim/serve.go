package vpcsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// ErrNotLoopback is the refusal to listen where others could reach the simulator: it lets everybody in.
var ErrNotLoopback = errors.New("the simulator listens on loopback addresses only")

// shutdownGrace is how long calls under way may take after the context of Serve has ended.
const shutdownGrace = 2 * time.Second

// Listener is a simulator behind a real HTTP port.
type Listener struct {
	// URL is the base, such as "http://127.0.0.1:41231", without a slash at the end.
	URL string

	done chan struct{}
	err  error
}

// VPCURL is the service URL for vpc-go-sdk.
func (l *Listener) VPCURL() string { return l.URL + "/v1" }

// DNSURL is the service URL for networking-go-sdk/dnssvcsv1.
func (l *Listener) DNSURL() string { return l.URL + "/v1" }

// IAMURL is the URL for go-sdk-core's IamAuthenticator.
func (l *Listener) IAMURL() string { return l.URL }

// Wait blocks until the listener has ended and returns why, nil after an orderly end.
func (l *Listener) Wait() error {
	<-l.done
	return l.err
}

// Serve listens on addr (host:port, port 0 for a free one; an empty host is 127.0.0.1) and answers until ctx ends. It
// returns as soon as the port is open. The simulator itself is not closed with the listener.
func (s *Simulator) Serve(ctx context.Context, addr string) (*Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("vpcsim: listen address: %w", err)
	}
	setDefault(&host, "127.0.0.1")
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("vpcsim: listen address: %w", err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return nil, fmt.Errorf("vpcsim: %w, not on %s", ErrNotLoopback, addr)
		}
	}
	var config net.ListenConfig
	socket, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("vpcsim: %w", err)
	}
	l := &Listener{URL: "http://" + socket.Addr().String(), done: make(chan struct{})}
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(socket) }()
	go func() {
		defer close(l.done)
		select {
		case l.err = <-ended:
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
			defer cancel()
			if err := web.Shutdown(grace); err != nil {
				l.err = web.Close()
			}
			if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
				l.err = err
			}
		}
		s.log.Info("simulator's listener ended", "url", l.URL, "error", l.err)
	}()
	s.log.Info("simulating IBM Cloud", "url", l.URL, "vpc", l.VPCURL(), "region", s.opts.Region)
	return l, nil
}
