package access

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/token"
)

// Authenticate tells whose secret it is: an API token, a session or a report
// token. Locators and sign-in codes identify nobody here. Any bad secret gives
// the same deploy.Error unauthenticated; other errors mean that the database
// could not be asked.
//
// The first use of a report token takes back the older ones of its deployment.
func (s *Service) Authenticate(ctx context.Context, secret string) (*Principal, error) {
	if !looksLike(secret, kindAPI, kindSession, kindReport) {
		return nil, errUnauthenticated()
	}
	now := s.clock()
	sum := digest(secret)
	if p, ok := s.cache.get(sum, now); ok {
		return s.inUse(p, now)
	}
	row, err := s.find(ctx, sum, kindAPI, kindSession, kindReport)
	if err != nil {
		return nil, err
	}
	if row.RevokedAt != nil || expired(row.ExpiresAt, now) {
		return nil, errUnauthenticated()
	}
	p := &Principal{Role: Role(row.Role), Name: row.Name, TokenID: row.ID}
	switch row.Kind {
	case kindAPI:
		p.Kind = KindToken
	case kindSession:
		p.Kind = KindSession
	case kindReport:
		if err := s.machine(ctx, p, row, now); err != nil {
			return nil, err
		}
	}
	if row.ExpiresAt != nil {
		p.ExpiresAt = *row.ExpiresAt
	}
	s.cache.put(sum, p, now.Add(CacheFor))
	return s.inUse(p, now)
}

// find loads the row of a digest.
func (s *Service) find(ctx context.Context, sum string, kinds ...string) (*ent.Token, error) {
	row, err := s.read.Token.Query().Where(token.Hash(sum), token.KindIn(kinds...)).Only(ctx)
	if ent.IsNotFound(err) || (err == nil && !same(row.Hash, sum)) {
		return nil, errUnauthenticated()
	}
	if err != nil {
		return nil, fmt.Errorf("look up token: %w", err)
	}
	return row, nil
}

// machine fills in whose report token it is and settles its first use.
func (s *Service) machine(ctx context.Context, p *Principal, row *ent.Token, now time.Time) error {
	if row.NodeID == nil || row.DeploymentID == nil {
		return errUnauthenticated()
	}
	p.Kind, p.Role, p.NodeID, p.DeploymentID = KindMachine, "", *row.NodeID, *row.DeploymentID
	if row.Attempt != nil {
		p.Attempt = *row.Attempt
	}
	d, err := s.read.Deployment.Query().Where(deployment.ID(p.DeploymentID)).WithNode().Only(ctx)
	if ent.IsNotFound(err) {
		return errUnauthenticated()
	}
	if err != nil {
		return fmt.Errorf("look up deployment of a report token: %w", err)
	}
	if d.Edges.Node != nil && d.Edges.Node.ManagementIP != nil {
		p.ManagementIP = *d.Edges.Node.ManagementIP
	}
	if !phase.Active(d.State) {
		p.Ended = true
		if d.FinishedAt != nil && now.After(d.FinishedAt.Add(EndedFor)) {
			return errUnauthenticated()
		}
	}
	if row.FirstUsedAt == nil {
		return s.firstUse(ctx, row, now)
	}
	return nil
}

// inUse gives a copy of p for the caller, slides a session, and notes the use.
func (s *Service) inUse(p *Principal, now time.Time) (*Principal, error) {
	if expired(&p.ExpiresAt, now) {
		return nil, errUnauthenticated()
	}
	c := *p
	u := use{at: now}
	if c.Kind == KindSession {
		c.ExpiresAt = now.Add(SessionFor)
		u.expires = c.ExpiresAt
	}
	s.touch(c.TokenID, u)
	return &c, nil
}

// expired reports whether an end has come; nil and zero never come.
func expired(at *time.Time, now time.Time) bool {
	return at != nil && !at.IsZero() && !now.Before(*at)
}
