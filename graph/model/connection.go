package model

import "context"

// Counter counts everything that a list's filter matches.
type Counter func(ctx context.Context) (int, error)

// BareMetalNodeConnection is a page of machines.
type BareMetalNodeConnection struct {
	Edges    []*BareMetalNodeEdge
	PageInfo *PageInfo
	Count    Counter
}

// Nodes are the machines of the page.
func (c *BareMetalNodeConnection) Nodes() []*BareMetalNode {
	out := make([]*BareMetalNode, len(c.Edges))
	for i, e := range c.Edges {
		out[i] = e.Node
	}
	return out
}

// TotalCount counts; it runs only when the field is selected.
func (c *BareMetalNodeConnection) TotalCount(ctx context.Context) (int, error) { return c.Count(ctx) }

// DeploymentConnection is a page of deployments.
type DeploymentConnection struct {
	Edges    []*DeploymentEdge
	PageInfo *PageInfo
	Count    Counter
}

// Nodes are the deployments of the page.
func (c *DeploymentConnection) Nodes() []*Deployment {
	out := make([]*Deployment, len(c.Edges))
	for i, e := range c.Edges {
		out[i] = e.Node
	}
	return out
}

// TotalCount counts; it runs only when the field is selected.
func (c *DeploymentConnection) TotalCount(ctx context.Context) (int, error) { return c.Count(ctx) }

// DeploymentEventConnection is a page of events.
type DeploymentEventConnection struct {
	Edges    []*DeploymentEventEdge
	PageInfo *PageInfo
	Expired  Counter // nil for events of more than one deployment
}

// ExpiredCount counts; it runs only when the field is selected.
func (c *DeploymentEventConnection) ExpiredCount(ctx context.Context) (*int, error) {
	if c.Expired == nil {
		return nil, nil
	}
	n, err := c.Expired(ctx)
	return &n, err
}

// Nodes are the events of the page.
func (c *DeploymentEventConnection) Nodes() []*DeploymentEvent {
	out := make([]*DeploymentEvent, len(c.Edges))
	for i, e := range c.Edges {
		out[i] = e.Node
	}
	return out
}
