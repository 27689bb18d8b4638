package graph_test

import (
	"context"
	"errors"

	"github.com/slipwayhq/slipway/deploy"
)

// cloud is a provider whose answers tests set; an unset one says that the
// provider cannot be reached.
type cloud struct {
	plan    func(deploy.Order) ([]deploy.Check, error)
	release func(deploy.Release) ([]deploy.ReleaseStep, error)
	offer   func() (deploy.Offer, error)
	audit   func() ([]deploy.Drift, error)
	remove  func(deploy.Drift) error
	examine func(string) (deploy.Adopted, error)
	console func(int64, string, bool) (deploy.Console, error)
}

var errUnreachable = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "the cloud does not answer", Hint: "wait", Temporary: true}

func (c *cloud) Order(context.Context, deploy.Order) (deploy.Machine, error) {
	return deploy.Machine{}, errors.New("tests of the API order nothing")
}

func (c *cloud) Observe(context.Context, int64) (deploy.Observation, error) {
	return deploy.Observation{}, errUnreachable
}
func (c *cloud) RegisterNames(context.Context, deploy.Names) error { return errUnreachable }
func (c *cloud) HasNames() bool                                    { return false }

func (c *cloud) Plan(_ context.Context, o deploy.Order) ([]deploy.Check, error) {
	if c.plan == nil {
		return nil, errUnreachable
	}
	return c.plan(o)
}

func (c *cloud) PlanRelease(_ context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	if c.release == nil {
		return nil, errUnreachable
	}
	return c.release(r)
}

func (c *cloud) Release(context.Context, deploy.Release) ([]deploy.ReleaseStep, error) {
	panic("the API releases nothing itself")
}

func (c *cloud) Offer(context.Context) (deploy.Offer, error) {
	if c.offer == nil {
		return deploy.Offer{}, errUnreachable
	}
	return c.offer()
}

func (c *cloud) Audit(context.Context, []deploy.Resource) ([]deploy.Drift, error) {
	if c.audit == nil {
		return nil, errUnreachable
	}
	return c.audit()
}

func (c *cloud) RemoveOrphan(_ context.Context, d deploy.Drift) error { return c.remove(d) }

func (c *cloud) Examine(_ context.Context, name string) (deploy.Adopted, error) {
	if c.examine == nil {
		return deploy.Adopted{}, errUnreachable
	}
	return c.examine(name)
}

func (c *cloud) Console(_ context.Context, id int64, kind string, force bool) (deploy.Console, error) {
	if c.console == nil {
		return deploy.Console{}, errUnreachable
	}
	return c.console(id, kind, force)
}
