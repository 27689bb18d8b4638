package rack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/slipwayhq/slipway/deploy"
)

// answerMax is the longest answer that is read, in bytes.
const answerMax = 4 << 20

// logoutTimeout bounds the end of a session: controllers have few.
const logoutTimeout = 5 * time.Second

// controller is a session with a board management controller.
type controller struct {
	*guard
	host     string
	password string
	api      *gofish.APIClient
	free     func()
}

// guard is the transport to one controller: to no other host, bounded in time
// and size, and ended by the caller's context.
type guard struct {
	next  http.RoundTripper
	base  *url.URL
	limit time.Duration

	mu    sync.Mutex
	ctx   context.Context //nolint:containedctx // the library takes one for a client's life; the end of the session needs another
	after time.Duration   // what the last answer asked to wait
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	// A link of the controller's may be "@elsewhere/…", which after the base
	// becomes another host.
	if r.URL.Host != g.base.Host || r.URL.Scheme != g.base.Scheme || r.URL.User != nil {
		return nil, &errElsewhere{"the controller " + g.base.Host + " points to another host"}
	}
	g.mu.Lock()
	ctx, cancel := context.WithTimeout(g.ctx, g.limit)
	g.mu.Unlock()
	defer cancel()
	res, err := g.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > answerMax {
		return nil, fmt.Errorf("the answer is longer than %d bytes", answerMax)
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 0
	}
	g.mu.Lock()
	g.after = time.Duration(min(seconds, 300)) * time.Second
	g.mu.Unlock()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func (g *guard) use(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
}

func (g *guard) retryAfter() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.after
}

// turns lets the actors of a process talk to a controller one after the other.
var turns = struct {
	mu    sync.Mutex
	hosts map[string]*turn
}{hosts: map[string]*turn{}}

type turn struct {
	token chan struct{}
	users int
}

// takeTurn waits for the controller to be free.
func takeTurn(ctx context.Context, host string) (free func(), err error) {
	turns.mu.Lock()
	t := turns.hosts[host]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		turns.hosts[host] = t
	}
	t.users++
	turns.mu.Unlock()
	leave := func() {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(turns.hosts, host)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// open logs in. The session must be closed.
func (p *Provider) open(ctx context.Context, power *deploy.Power) (*controller, error) {
	if err := p.usable(power); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSuffix(power.URL, "/"))
	if err != nil {
		return nil, permanent(deploy.CodeInvalid, "Correct the node's power settings.", "power.url: is not a URL")
	}
	password, err := p.Secrets.Secret(power.PasswordRef)
	if err != nil {
		return nil, permanent(deploy.CodeInvalid, "Put the secret on the server, or name another one.", "power.password_ref: %v", err)
	}
	transport, err := p.transport(power)
	if err != nil {
		return nil, err
	}
	free, err := takeTurn(ctx, base.Host)
	if err != nil {
		return nil, err
	}
	c := &controller{guard: &guard{next: transport, base: base, limit: p.Timeout, ctx: ctx}, host: base.Host, password: password, free: free}
	if p.Wrap != nil {
		c.next = p.Wrap(transport)
	}
	client := &http.Client{Transport: c.guard, CheckRedirect: func(*http.Request, []*http.Request) error {
		return &errElsewhere{"the controller " + base.Host + " redirects to another address: give that one"}
	}}
	c.api, err = gofish.ConnectContext(context.WithoutCancel(ctx), gofish.ClientConfig{
		Endpoint: base.String(), Username: power.Username, Password: password, HTTPClient: client,
	})
	if err != nil {
		free()
		return nil, c.failure(ctx, "logging in", err)
	}
	return c, nil
}

// close ends the session, also when the caller's context has ended.
func (c *controller) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	c.use(ctx)
	c.api.Logout()
	c.free()
}

// transport goes to the networks of controllers only, whatever a name resolves
// to, and through no proxy.
func (p *Provider) transport(power *deploy.Power) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: power.InsecureTLS} //nolint:gosec // the operator's explicit choice for this controller
	if power.CAFile != "" {
		pem, err := p.Secrets.Certificates(power.CAFile)
		if err != nil {
			return nil, permanent(deploy.CodeInvalid, "Put the file beside the server's secrets, or name another one.", "power.ca_file: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, permanent(deploy.CodeInvalid, "Put certificates in PEM into it.", "power.ca_file: %s has no certificate", power.CAFile)
		}
	}
	dialer := &net.Dialer{Timeout: p.Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err == nil && slices.ContainsFunc(p.Controllers, func(n netip.Prefix) bool { return n.Contains(ap.Addr().Unmap()) }) {
			return nil
		}
		return &errElsewhere{address + " is in no network that this server may reach controllers in"}
	}}
	return &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: p.Timeout, DisableKeepAlives: true}, nil
}

// system reads a ComputerSystem by its address.
func (c *controller) system(ctx context.Context, uri string) (*redfish.ComputerSystem, error) {
	s, err := redfish.GetComputerSystem(c.api, uri)
	if err != nil {
		return nil, c.failure(ctx, "reading the system", err)
	}
	return s, nil
}

// choose finds the node's ComputerSystem; see deploy.Power.SystemID.
func (c *controller) choose(ctx context.Context, o deploy.Order) (*redfish.ComputerSystem, error) {
	power, nodeName := o.Spec.Power, o.NodeName
	mac, hasMAC := deploy.NormalMAC(o.Spec.MAC)
	serial, hasSerial := deploy.NormalSerial(o.Spec.Serial)
	all, err := c.api.Service.Systems()
	if err != nil {
		return nil, c.failure(ctx, "listing the systems", err)
	}
	ids := make([]string, len(all))
	for i, s := range all {
		ids[i] = short(s.ID)
	}
	slices.Sort(ids)
	fits := func(what func(*redfish.ComputerSystem) bool) *redfish.ComputerSystem {
		some := slices.DeleteFunc(slices.Clone(all), func(s *redfish.ComputerSystem) bool { return !what(s) })
		if len(some) != 1 {
			return nil
		}
		return some[0]
	}
	if power.SystemID != "" {
		if s := fits(func(s *redfish.ComputerSystem) bool { return s.ID == power.SystemID }); s != nil {
			return checked(s)
		}
		return nil, permanent(deploy.CodeNotFound, "Give the Id of one of these.", "power.system_id: the controller %s has no system %s; it has %s", c.host, power.SystemID, strings.Join(ids, ", "))
	}
	if len(all) == 1 {
		return checked(all[0])
	}
	if s := fits(func(s *redfish.ComputerSystem) bool {
		has, ok := deploy.NormalSerial(s.SerialNumber)
		return hasSerial && ok && has == serial
	}); s != nil {
		return checked(s)
	}
	var trouble error
	if s := fits(func(s *redfish.ComputerSystem) bool {
		if !hasMAC {
			return false
		}
		macs, err := c.macs(ctx, s)
		trouble = errors.Join(trouble, err)
		return slices.Contains(macs, mac)
	}); s != nil {
		return checked(s)
	}
	if trouble != nil {
		return nil, asProviderError(trouble)
	}
	if s := fits(func(s *redfish.ComputerSystem) bool {
		return s.ID == nodeName || s.HostName == nodeName || s.Name == nodeName
	}); s != nil {
		return checked(s)
	}
	return nil, permanent(deploy.CodeInvalid, "Give the Id of the node's system.",
		"power.system_id: the controller %s has the systems %s, and none is known by %s or %s", c.host, strings.Join(ids, ", "), cmp.Or(mac, serial), nodeName)
}

// checked refuses a system that cannot be asked for again.
func checked(s *redfish.ComputerSystem) (*redfish.ComputerSystem, error) {
	if !strings.HasPrefix(s.ODataID, "/") {
		return nil, permanent(deploy.CodeInvalid, "See whether the controller's firmware is current.", "power.url: the controller gives its system no address")
	}
	return s, nil
}

// macs are the MAC addresses of a system's interfaces. Some controllers list
// none while the machine is off.
func (c *controller) macs(ctx context.Context, s *redfish.ComputerSystem) ([]string, error) {
	interfaces, err := s.EthernetInterfaces()
	if code, _ := status(err); code == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, c.failure(ctx, "reading the network interfaces", err)
	}
	var out []string
	for _, i := range interfaces {
		for _, a := range []string{i.MACAddress, i.PermanentMACAddress} {
			if mac, ok := deploy.NormalMAC(a); ok {
				out = append(out, mac)
			}
		}
	}
	return out, nil
}

// look reads a system in a session of its own.
func (p *Provider) look(ctx context.Context, power *deploy.Power, uri string) (*redfish.ComputerSystem, error) {
	c, err := p.open(ctx, power)
	if err != nil {
		return nil, err
	}
	defer c.close(ctx)
	return c.system(ctx, uri)
}
