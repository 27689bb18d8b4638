package access

import (
	"context"
	"fmt"
	"time"
	"unicode"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/token"
)

// NameMax is the longest name of a token or of a person, in bytes.
const NameMax = 100

// NewToken asks for an API token.
type NewToken struct {
	Name      string
	Role      Role
	For       time.Duration // how long it holds; 0 = until revoked
	CreatedBy string
}

// Token is what may be shown of an API token.
type Token struct {
	ID         int64
	Name       string
	Role       Role
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	LastUsedAt *time.Time // up to FlushEvery late
	RevokedAt  *time.Time
}

// CreateToken makes an API token and gives its secret, which nobody can show
// again. The first one of a database, for an admin, is made with it through the
// command line, on the database itself: no default secret exists.
func (s *Service) CreateToken(ctx context.Context, n NewToken) (secret string, t Token, err error) {
	if err := checkNew("name", n.Name, n.Role, n.For); err != nil {
		return "", Token{}, err
	}
	now := s.clock()
	secret = newSecret(kindAPI)
	var row *ent.Token
	err = s.inTx(ctx, func(tx *ent.Client) (err error) {
		q := tx.Token.Create().SetKind(kindAPI).SetHash(digest(secret)).SetName(n.Name).
			SetRole(string(n.Role)).SetCreatedBy(n.CreatedBy).SetCreatedAt(now)
		if n.For > 0 {
			q.SetExpiresAt(now.Add(n.For))
		}
		row, err = q.Save(ctx)
		return err
	})
	if err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	return secret, shown(row), nil
}

// checkNew tells every bad part of what asks for a token.
func checkNew(field, name string, role Role, hold time.Duration) error {
	var bad []deploy.FieldError
	switch {
	case name == "":
		bad = append(bad, deploy.FieldError{Field: field, Code: deploy.CodeRequired, Message: "is required"})
	case len(name) > NameMax:
		bad = append(bad, deploy.FieldError{Field: field, Code: deploy.CodeOutOfRange, Message: "is longer than 100 bytes"})
	case !printable(name):
		bad = append(bad, deploy.FieldError{Field: field, Code: deploy.CodeInvalid, Message: "must be printable"})
	}
	if !role.Valid() {
		bad = append(bad, deploy.FieldError{Field: "role", Code: deploy.CodeInvalid, Message: "must be viewer, operator or admin"})
	}
	if hold < 0 {
		bad = append(bad, deploy.FieldError{Field: "for", Code: deploy.CodeOutOfRange, Message: "must not be negative"})
	}
	return deploy.Invalid(bad)
}

func printable(s string) bool {
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Tokens lists the API tokens, the newest first, revoked and expired ones too.
func (s *Service) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := s.read.Token.Query().Where(token.Kind(kindAPI)).Order(ent.Desc(token.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	out := make([]Token, len(rows))
	for i, r := range rows {
		out[i] = shown(r)
	}
	return out, nil
}

func shown(r *ent.Token) Token {
	return Token{
		ID: r.ID, Name: r.Name, Role: Role(r.Role), CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
		ExpiresAt: r.ExpiresAt, LastUsedAt: r.LastUsedAt, RevokedAt: r.RevokedAt,
	}
}

// RevokeToken ends an API token for good. Revoking it again changes nothing;
// an id of none is not_found.
func (s *Service) RevokeToken(ctx context.Context, id int64) error {
	return s.revoke(ctx, kindAPI, id)
}

func (s *Service) revoke(ctx context.Context, kind string, id int64) error {
	there := true
	err := s.inTx(ctx, func(tx *ent.Client) error {
		n, err := tx.Token.Update().Where(token.ID(id), token.Kind(kind), token.RevokedAtIsNil()).
			SetRevokedAt(s.clock()).Save(ctx)
		if err != nil || n > 0 {
			return err
		}
		there, err = tx.Token.Query().Where(token.ID(id), token.Kind(kind)).Exist(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	s.cache.drop(func(p *Principal) bool { return p.TokenID == id })
	if there {
		s.watches.end(id)
	}
	if !there {
		return deploy.Errorf(deploy.CodeNotFound, "there is no token %d", id)
	}
	return nil
}
