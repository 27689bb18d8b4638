package graph

import (
	"context"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// Keys gives out and takes back what people and programs identify themselves
// with. *access.Service is one.
type Keys interface {
	CreateToken(ctx context.Context, n access.NewToken) (secret string, t access.Token, err error)
	Tokens(ctx context.Context) ([]access.Token, error)
	RevokeToken(ctx context.Context, id int64) error
	CreateSignIn(ctx context.Context, name string, role access.Role, createdBy string) (code string, err error)
	Sessions(ctx context.Context) ([]access.Token, error)
	EndSession(ctx context.Context, id int64) error
}

var errNoKeys = deploy.Errorf(deploy.CodeWrongState, "access is not managed here")

// tokenDays is the longest that a token may be made for.
const tokenDays = 3650

func roleKey(r model.Role) access.Role { return access.Role(strings.ToLower(string(r))) }

func roleModel(r access.Role) model.Role { return model.Role(strings.ToUpper(string(r))) }

func (r *Resolver) tokenModel(ctx context.Context, t access.Token) *model.APIToken {
	active := t.RevokedAt == nil && (t.ExpiresAt == nil || t.ExpiresAt.After(r.Fleet.Now()))
	return &model.APIToken{
		ID: ident.Format(ident.Token, t.ID), Name: t.Name, Role: roleModel(t.Role), CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		LastUsedAt: t.LastUsedAt, RevokedAt: t.RevokedAt, Active: active, Current: isCurrent(ctx, access.KindToken, t.ID),
	}
}

func isCurrent(ctx context.Context, kind access.Kind, id int64) bool {
	p := access.FromContext(ctx)
	return p != nil && p.Kind == kind && p.TokenID == id
}

func (r *Resolver) apiTokens(ctx context.Context) ([]*model.APIToken, error) {
	if r.Keys == nil {
		return nil, errNoKeys
	}
	list, err := r.Keys.Tokens(ctx)
	out := make([]*model.APIToken, len(list))
	for i, t := range list {
		out[i] = r.tokenModel(ctx, t)
	}
	return out, err
}

func (r *Resolver) sessions(ctx context.Context) ([]*model.Session, error) {
	if r.Keys == nil {
		return nil, errNoKeys
	}
	list, err := r.Keys.Sessions(ctx)
	out := make([]*model.Session, len(list))
	for i, t := range list {
		out[i] = &model.Session{
			ID: ident.Format(ident.Session, t.ID), Name: t.Name, Role: roleModel(t.Role), CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt,
			ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, Current: isCurrent(ctx, access.KindSession, t.ID),
		}
	}
	return out, err
}

// keyAudit writes down who gave access to whom, or took it.
func (r *Resolver) keyAudit(ctx context.Context, verb string, err error, attrs ...any) {
	actor, outcome := access.FromContext(ctx).Actor(), "done"
	if err != nil {
		outcome = "refused"
	}
	r.Logger.InfoContext(ctx, "audit", append([]any{"verb", verb, "outcome", outcome, "actor_kind", string(actor.Kind), "actor", actor.Name, "request_id", requestID(ctx)}, attrs...)...)
}

func (r *Resolver) createAPIToken(ctx context.Context, in model.CreateAPITokenInput) (*model.CreateAPITokenPayload, error) {
	out := &model.CreateAPITokenPayload{}
	var secret string
	var made access.Token
	var err error
	switch {
	case r.Keys == nil:
		err = errNoKeys
	case in.Days != nil && (*in.Days < 1 || *in.Days > tokenDays):
		err = deploy.Invalid([]deploy.FieldError{{Field: "days", Code: deploy.CodeOutOfRange, Message: "must be 1 to 3650"}})
	default:
		secret, made, err = r.Keys.CreateToken(ctx, access.NewToken{
			Name: in.Name, Role: roleKey(in.Role), For: time.Duration(deref(in.Days)) * 24 * time.Hour, CreatedBy: access.FromContext(ctx).Actor().Name,
		})
	}
	r.keyAudit(ctx, "create_token", err, "name", in.Name, "role", string(in.Role), "token", made.ID)
	if out.Errors, err = userErrors(err, same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	out.Token, out.Secret = r.tokenModel(ctx, made), &secret
	return out, nil
}

// keyID reads the id of a token or session.
func keyID(k ident.Kind, what, id string) (int64, error) {
	key, ok := ident.Of(k, id)
	if ok {
		return key, nil
	}
	return 0, &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such " + what, Fields: []deploy.FieldError{{Field: "id", Code: deploy.CodeNotFound, Message: "names no " + what}}}
}

func (r *Resolver) revokeAPIToken(ctx context.Context, in model.RevokeAPITokenInput) (*model.RevokeAPITokenPayload, error) {
	out := &model.RevokeAPITokenPayload{}
	id, err := keyID(ident.Token, "token", in.ID)
	switch {
	case err != nil:
	case r.Keys == nil:
		err = errNoKeys
	default:
		err = r.Keys.RevokeToken(ctx, id)
	}
	r.keyAudit(ctx, "revoke_token", err, "token", id)
	if out.Errors, err = userErrors(err, same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	list, err := r.Keys.Tokens(ctx)
	for _, t := range list {
		if t.ID == id {
			out.Token = r.tokenModel(ctx, t)
		}
	}
	return out, err
}

func (r *Resolver) createSignIn(ctx context.Context, in model.CreateSignInInput) (*model.CreateSignInPayload, error) {
	out := &model.CreateSignInPayload{}
	var code string
	var err error = errNoKeys
	if r.Keys != nil {
		code, err = r.Keys.CreateSignIn(ctx, in.Name, roleKey(in.Role), access.FromContext(ctx).Actor().Name)
	}
	r.keyAudit(ctx, "create_sign_in", err, "name", in.Name, "role", string(in.Role))
	if out.Errors, err = userErrors(err, same); err == nil && len(out.Errors) == 0 {
		out.Code = &code
	}
	return out, err
}

func (r *Resolver) endSession(ctx context.Context, in model.EndSessionInput) (*model.EndSessionPayload, error) {
	id, err := keyID(ident.Session, "session", in.ID)
	switch {
	case err != nil:
	case r.Keys == nil:
		err = errNoKeys
	default:
		err = r.Keys.EndSession(ctx, id)
	}
	r.keyAudit(ctx, "end_session", err, "session", id)
	errs, err := userErrors(err, same)
	return &model.EndSessionPayload{Errors: errs}, err
}
