package access

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/token"
)

// CreateSignIn makes a code that signs its holder in once, within SignInFor,
// under a name and with a role. It travels in a link's fragment, which browsers
// do not send to servers.
func (s *Service) CreateSignIn(ctx context.Context, name string, role Role, createdBy string) (code string, err error) {
	if err := checkNew("name", name, role, 0); err != nil {
		return "", err
	}
	now := s.clock()
	code = newSecret(kindSignIn)
	err = s.inTx(ctx, func(tx *ent.Client) error {
		return tx.Token.Create().SetKind(kindSignIn).SetHash(digest(code)).SetName(name).SetRole(string(role)).
			SetCreatedBy(createdBy).SetCreatedAt(now).SetExpiresAt(now.Add(SignInFor)).Exec(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("create sign-in code: %w", err)
	}
	return code, nil
}

// SignIn changes a code into a session. A code that was used, is too old or
// never existed is unauthenticated, always in the same words. Of two requests
// with the same code, one wins.
func (s *Service) SignIn(ctx context.Context, code string) (session string, p *Principal, err error) {
	if !looksLike(code, kindSignIn) {
		return "", nil, errUnauthenticated()
	}
	now := s.clock()
	sum := digest(code)
	session = newSecret(kindSession)
	err = s.inTx(ctx, func(tx *ent.Client) error {
		row, err := tx.Token.Query().Where(token.Hash(sum), token.Kind(kindSignIn)).Only(ctx)
		if ent.IsNotFound(err) {
			return errUnauthenticated()
		}
		if err != nil {
			return err
		}
		if !same(row.Hash, sum) || row.FirstUsedAt != nil || row.RevokedAt != nil || expired(row.ExpiresAt, now) {
			return errUnauthenticated()
		}
		// The condition decides between two that come at once.
		n, err := tx.Token.Update().Where(token.ID(row.ID), token.FirstUsedAtIsNil()).
			SetFirstUsedAt(now).SetLastUsedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnauthenticated()
		}
		made, err := tx.Token.Create().SetKind(kindSession).SetHash(digest(session)).SetName(row.Name).SetRole(row.Role).
			SetCreatedBy(row.CreatedBy).SetCreatedAt(now).SetExpiresAt(now.Add(SessionFor)).
			SetFirstUsedAt(now).SetLastUsedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		p = &Principal{Kind: KindSession, Role: Role(row.Role), Name: row.Name, TokenID: made.ID, ExpiresAt: now.Add(SessionFor)}
		return nil
	})
	if deploy.HasCode(err, deploy.CodeUnauthenticated) {
		return "", nil, err
	}
	if err != nil {
		return "", nil, fmt.Errorf("sign in: %w", err)
	}
	return session, p, nil
}

// SignOut ends a session. It is no error when it has ended already.
func (s *Service) SignOut(ctx context.Context, id int64) error {
	err := s.revoke(ctx, kindSession, id)
	if deploy.HasCode(err, deploy.CodeNotFound) {
		return nil
	}
	return err
}
