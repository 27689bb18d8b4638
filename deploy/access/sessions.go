package access

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/token"
)

// sessionsMost bounds the list of sessions.
const sessionsMost = 1000

// Sessions lists those who are signed in, the newest first; at most a thousand.
// Ended sessions are left out.
func (s *Service) Sessions(ctx context.Context) ([]Token, error) {
	rows, err := s.read.Token.Query().Where(token.Kind(kindSession), token.RevokedAtIsNil(), token.ExpiresAtGT(s.clock())).
		Order(ent.Desc(token.FieldID)).Limit(sessionsMost).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	out := make([]Token, len(rows))
	for i, r := range rows {
		out[i] = shown(r)
	}
	return out, nil
}

// EndSession signs somebody out. Doing so again changes nothing; an id of none
// is not_found.
func (s *Service) EndSession(ctx context.Context, id int64) error {
	return s.revoke(ctx, kindSession, id)
}
