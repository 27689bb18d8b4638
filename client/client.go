package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"
)

// Client speaks to one Slipway.
type Client struct {
	base  string
	token string
	http  *http.Client
	gql   graphql.Client
}

// New makes a client for the server at base ("http://127.0.0.1:8080"), which
// identifies itself with an API token.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("server %q: must be http:// or https:// with a host", base)
	}
	c := &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{}}
	c.gql = graphql.NewClient(c.base+"/graphql", &http.Client{Timeout: 30 * time.Second, Transport: bearer{token}})
	return c, nil
}

// bearer adds the token to every request.
type bearer struct{ token string }

// RoundTrip sends the request with the token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Problems are the reasons why a mutation was not done.
type Problems []ProblemFields

// Error lists all of them.
func (p Problems) Error() string {
	parts := make([]string, len(p))
	for i, e := range p {
		parts[i] = fmt.Sprintf("%s: %s", strings.ToLower(string(e.Code)), e.Message)
		if len(e.Field) > 0 {
			parts[i] = strings.Join(e.Field, ".") + ": " + parts[i]
		}
	}
	return strings.Join(parts, "; ")
}

// Deployment is one that was accepted, or why it was not.
type Deployment struct {
	Index    int
	ID       string
	Number   int
	NodeID   string
	NodeName string
	Cursor   string // follow from here to miss nothing
	Err      error
}

// Deploy asks for deployments; each succeeds or is refused by itself.
func (c *Client) Deploy(ctx context.Context, in DeployNodesInput) ([]Deployment, error) {
	resp, err := DeployNodes(ctx, c.gql, in)
	if err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	if p := problemsOf(resp.DeployNodes.Errors); len(p) > 0 && len(resp.DeployNodes.Results) == 0 {
		return nil, p
	}
	out := make([]Deployment, 0, len(resp.DeployNodes.Results))
	for _, r := range resp.DeployNodes.Results {
		d := Deployment{Index: r.Index}
		if r.Deployment != nil {
			d.ID, d.Number, d.NodeID, d.NodeName, d.Cursor = r.Deployment.Id, r.Deployment.Number, r.Deployment.Node.Id, r.Deployment.Node.Name, r.Deployment.Cursor
		} else {
			var p Problems
			for _, e := range r.Errors {
				p = append(p, e.ProblemFields)
			}
			d.Err = p
		}
		out = append(out, d)
	}
	return out, nil
}

func problemsOf(list []DeployNodesDeployNodesDeployNodesPayloadErrorsUserError) Problems {
	var p Problems
	for _, e := range list {
		p = append(p, e.ProblemFields)
	}
	return p
}

// Node is a line of the fleet.
type Node = NodesBareMetalNodesBareMetalNodeConnectionNodesBareMetalNode

// Nodes reads all nodes that match, page by page, and calls each for one.
func (c *Client) Nodes(ctx context.Context, filter *BareMetalNodeFilter, each func(Node) error) error {
	size := 200
	var after *string
	for {
		resp, err := Nodes(ctx, c.gql, &size, after, filter)
		if err != nil {
			return fmt.Errorf("reading nodes: %w", err)
		}
		for _, n := range resp.BareMetalNodes.Nodes {
			if err := each(n); err != nil {
				return err
			}
		}
		page := resp.BareMetalNodes.PageInfo
		if !page.HasNextPage || page.EndCursor == nil {
			return nil
		}
		after = page.EndCursor
	}
}

// ErrNotFound is the answer to a name or id that nobody has.
var ErrNotFound = errors.New("there is no such node or deployment")

// Find resolves a deployment's id, or a node's name to its current deployment.
func (c *Client) Find(ctx context.Context, idOrName string) (string, error) {
	if strings.HasPrefix(idOrName, "dep_") {
		return idOrName, nil
	}
	resp, err := NodeByName(ctx, c.gql, idOrName)
	if err != nil {
		return "", fmt.Errorf("looking for node %q: %w", idOrName, err)
	}
	if resp.BareMetalNode == nil || resp.BareMetalNode.CurrentDeployment == nil {
		return "", ErrNotFound
	}
	return resp.BareMetalNode.CurrentDeployment.Id, nil
}

// State is how a deployment stands.
type State = DeploymentStateQueryDeployment

// Deployment reads how a deployment stands.
func (c *Client) Deployment(ctx context.Context, id string) (*State, error) {
	resp, err := DeploymentStateQuery(ctx, c.gql, id)
	if err != nil {
		return nil, fmt.Errorf("reading deployment %s: %w", id, err)
	}
	if resp.Deployment == nil {
		return nil, ErrNotFound
	}
	return resp.Deployment, nil
}
