package operation

import (
	"context"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// Adoption asks for a machine to be taken into care that Slipway did not make.
type Adoption struct {
	Provider    string
	Server      string // the provider's id, or name, of the machine
	Name        string // of the node
	ClusterName string
	Labels      map[string]string
	Actor       deploy.Actor
}

// serverMax is the longest id or name of a server, in bytes.
const serverMax = 128

func (a Adoption) check() error {
	bad := deploy.CheckNodeName("name", a.Name)
	switch server := strings.TrimSpace(a.Server); {
	case server == "":
		bad = append(bad, deploy.FieldError{Field: "server", Code: deploy.CodeRequired, Message: "is required"})
	case len(server) > serverMax:
		bad = append(bad, deploy.FieldError{Field: "server", Code: deploy.CodeOutOfRange, Message: "is longer than 128 bytes"})
	}
	return deploy.Invalid(bad)
}

// Examine reads a machine at a provider and what belongs to it, and changes
// nothing.
func (s *Service) Examine(ctx context.Context, provider, server string) (deploy.Adopted, error) {
	adopter, err := ask[deploy.Adopter](s, provider, "adopt machines")
	if err != nil {
		return deploy.Adopted{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	found, err := adopter.Examine(asking, strings.TrimSpace(server))
	return found, refusal(ctx, provider, err)
}

// Adopt takes a machine into care: it becomes a node that is deployed and
// protected, and holds what belongs to the machine. Nothing of the machine is
// changed.
func (s *Service) Adopt(ctx context.Context, a Adoption) (lifecycle.Deployed, deploy.Adopted, error) {
	if err := a.check(); err != nil {
		return lifecycle.Deployed{}, deploy.Adopted{}, err
	}
	found, err := s.Examine(ctx, a.Provider, a.Server)
	if err != nil {
		return lifecycle.Deployed{}, deploy.Adopted{}, err
	}
	made, err := s.deps.Writer.Adopt(ctx, lifecycle.Adoption{
		Name: a.Name, Provider: a.Provider, Adopted: found, ClusterName: a.ClusterName, Labels: a.Labels, Actor: a.Actor,
	})
	s.audit(ctx, a.Actor, "adopt", a.Provider, err, "server", found.ServerID, "server_name", found.Name, "node", a.Name)
	return made, found, err
}
