package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// ProbeNow has the next attempt to reach the host of a deployment begin now, and
// gives what the server says.
func (c *Client) ProbeNow(ctx context.Context, deployment string) (message string, err error) {
	var out struct{ Message string }
	_, err = c.rest(ctx, http.MethodPost, "/api/deployments/"+url.PathEscape(deployment)+"/probe", map[string]string{}, &out)
	return out.Message, err
}

// SkipPolling says that the host of a deployment is well although it could not be
// reached; the history keeps the reason.
func (c *Client) SkipPolling(ctx context.Context, deployment, reason string) (Verb, error) {
	var out Verb
	_, err := c.rest(ctx, http.MethodPost, "/api/deployments/"+url.PathEscape(deployment)+"/skip-polling", map[string]string{"reason": reason}, &out)
	return out, err
}

// HostKey is which host key a node is known by, and the other one that its host
// has offered when it was last asked; empty = none.
type HostKey struct {
	NodeID, NodeName   string
	Known              string // fingerprint, SHA-256 as OpenSSH prints it
	Offered            string // fingerprint
	OfferedKey, Target string
}

// HostKey reads that of the node with a name; ErrNotFound if there is none.
func (c *Client) HostKey(ctx context.Context, name string) (HostKey, error) {
	resp, err := HostKeyQuery(ctx, c.gql, name)
	if err != nil {
		return HostKey{}, fmt.Errorf("reading the host key of %s: %w", name, err)
	}
	n := resp.BareMetalNode
	if n == nil {
		return HostKey{}, ErrNotFound
	}
	out := HostKey{NodeID: n.Id, NodeName: n.Name, Known: text(n.HostKeyFingerprint)}
	if d := n.CurrentDeployment; d != nil && d.SshProbe != nil {
		out.Target = d.SshProbe.Target
		out.OfferedKey, out.Offered = text(d.SshProbe.OfferedHostKey), text(d.SshProbe.OfferedFingerprint)
	}
	if out.Offered == out.Known { // it was trusted since
		out.Offered, out.OfferedKey = "", ""
	}
	return out, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// AcceptHostKey has a node be known by another host key, "<type> <base64>": the
// one that its host has offered when it was last asked.
func (c *Client) AcceptHostKey(ctx context.Context, node, key string) (fingerprint string, err error) {
	var out struct{ Fingerprint string }
	_, err = c.rest(ctx, http.MethodPost, "/api/nodes/"+url.PathEscape(node)+"/host-key", map[string]string{"host_key": key}, &out)
	return out.Fingerprint, err
}
