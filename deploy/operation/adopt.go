package operation

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/resource"
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
// nothing. Errors: those of the provider; already_exists if a node has it.
func (s *Service) Examine(ctx context.Context, provider, server string) (deploy.Adopted, error) {
	found, err := s.examine(ctx, provider, server)
	if err != nil {
		return found, err
	}
	return found, s.unheld(ctx, provider, found)
}

func (s *Service) examine(ctx context.Context, provider, server string) (deploy.Adopted, error) {
	adopter, err := ask[deploy.Adopter](s, provider, "adopt machines")
	if err != nil {
		return deploy.Adopted{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	found, err := adopter.Examine(asking, strings.TrimSpace(server))
	return found, refusal(ctx, provider, err)
}

// unheld gives the refusal that the adoption of a machine would meet because a
// node has it, or its addresses, already.
func (s *Service) unheld(ctx context.Context, provider string, found deploy.Adopted) error {
	var ids []string
	for _, r := range found.Resources {
		ids = append(ids, r.CloudID)
	}
	held, err := s.read.Resource.Query().Where(resource.Provider(provider), resource.CloudIDIn(ids...), resource.StateNEQ(deploy.ResourceGone)).WithNode().First(ctx)
	switch {
	case err == nil && held.Edges.Node != nil:
		return deploy.Errorf(deploy.CodeAlreadyExists, "the %s %s belongs to the node %s already", held.Kind, held.Name, held.Edges.Node.Name)
	case err != nil && !ent.IsNotFound(err):
		return fmt.Errorf("operation: looking for who holds a machine: %w", err)
	}
	same := node.MACIn(found.MACs...)
	if found.ManagementIP != "" {
		same = node.Or(same, node.ManagementIP(found.ManagementIP))
	}
	n, err := s.read.Node.Query().Where(same).First(ctx)
	switch {
	case ent.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("operation: looking for who holds a machine: %w", err)
	}
	return deploy.Errorf(deploy.CodeAlreadyExists, "the node %s holds the machine's address already", n.Name)
}

// Adopt takes a machine into care: it becomes a node that is deployed and
// protected, and holds what belongs to the machine. Nothing of the machine is
// changed.
func (s *Service) Adopt(ctx context.Context, a Adoption) (lifecycle.Deployed, deploy.Adopted, error) {
	if err := a.check(); err != nil {
		return lifecycle.Deployed{}, deploy.Adopted{}, err
	}
	found, err := s.examine(ctx, a.Provider, a.Server) // who holds it already is decided where it is written
	if err != nil {
		return lifecycle.Deployed{}, deploy.Adopted{}, err
	}
	made, err := s.deps.Writer.Adopt(ctx, lifecycle.Adoption{
		Name: a.Name, Provider: a.Provider, Adopted: found, ClusterName: a.ClusterName, Labels: a.Labels, Actor: a.Actor,
	})
	s.audit(ctx, a.Actor, "adopt", a.Provider, err, "server", found.ServerID, "server_name", found.Name, "node", a.Name)
	return made, found, err
}
