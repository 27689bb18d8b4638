package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipwayhq/slipway/deploy/access"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make an API token; its secret is shown once."`
	List   tokenListCmd   `cmd:"" help:"List API tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke an API token."`
	Signin tokenSigninCmd `cmd:"" help:"Make a sign-in link for the app; it works once, for ten minutes."`
}

// withAccess runs fn on the database, which these commands speak to directly:
// whoever can reach it is trusted. One that is not there yet is made if
// something is to be put into it, and that is said: a token in another database
// than the server's is good for nothing.
func withAccess(ctx context.Context, d dataFlags, mayMake bool, fn func(*access.Service) error) error {
	if path, ok := strings.CutPrefix(d.database(), "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if !mayMake {
				return fmt.Errorf("there is no database %s: --data-dir (SLIPWAY_DATA_DIR) must be the server's", path)
			}
			defer fmt.Fprintf(os.Stderr, "the database %s is new: it is of use to a server with the same --data-dir (SLIPWAY_DATA_DIR)\n", path)
		}
	}
	st, err := openStore(ctx, d)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	return fn(access.New(st))
}

func operatorName() string {
	if u := os.Getenv("USER"); u != "" {
		return u
	}
	return "command line"
}

type tokenCreateCmd struct {
	Data dataFlags     `embed:""`
	Name string        `arg:"" help:"What the token is for; history shows it."`
	Role string        `help:"viewer reads, operator deploys and reports, admin also manages access." enum:"viewer,operator,admin" default:"operator"`
	For  time.Duration `help:"How long it holds, for instance 720h; 0 = until revoked." default:"0"`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(ctx context.Context) error {
	return withAccess(ctx, c.Data, true, func(s *access.Service) error {
		secret, t, err := s.CreateToken(ctx, access.NewToken{Name: c.Name, Role: access.Role(c.Role), For: c.For, CreatedBy: operatorName()})
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "token %d (%s, %s); keep it, it is not shown again:\n", t.ID, t.Name, t.Role)
		fmt.Println(secret)
		return nil
	})
}

type tokenListCmd struct {
	Data dataFlags `embed:""`
}

// Run lists tokens.
func (c *tokenListCmd) Run(ctx context.Context) error {
	return withAccess(ctx, c.Data, false, func(s *access.Service) error {
		tokens, err := s.Tokens(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tROLE\tCREATED\tEXPIRES\tLAST USED\tSTATE")
		for _, t := range tokens {
			state := "valid"
			switch {
			case t.RevokedAt != nil:
				state = "revoked"
			case t.ExpiresAt != nil && t.ExpiresAt.Before(time.Now()):
				state = "expired"
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, t.CreatedAt.Format(time.RFC3339), moment(t.ExpiresAt), moment(t.LastUsedAt), state)
		}
		return w.Flush()
	})
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339)
}

type tokenRevokeCmd struct {
	Data dataFlags `embed:""`
	ID   int64     `arg:"" help:"The token's id, from slipway token list."`
}

// Run revokes a token.
func (c *tokenRevokeCmd) Run(ctx context.Context) error {
	return withAccess(ctx, c.Data, false, func(s *access.Service) error {
		if err := s.RevokeToken(ctx, c.ID); err != nil {
			return err
		}
		fmt.Printf("token %d is revoked\n", c.ID)
		return nil
	})
}

type tokenSigninCmd struct {
	Data   dataFlags `embed:""`
	Name   string    `arg:"" help:"Who signs in; history shows it."`
	Role   string    `enum:"viewer,operator,admin" default:"operator" help:"viewer, operator or admin."`
	Server string    `help:"URL of the server that the link points at." default:"http://127.0.0.1:8080" env:"SLIPWAY_SERVER"`
}

// Run makes a sign-in link.
func (c *tokenSigninCmd) Run(ctx context.Context) error {
	return withAccess(ctx, c.Data, true, func(s *access.Service) error {
		link, err := signInLink(ctx, s, c.Server, c.Name, access.Role(c.Role))
		if err == nil {
			fmt.Println(link)
		}
		return err
	})
}

// signInLink makes a link that signs a person in, once. The code is in the
// fragment, which browsers do not send to servers or keep in Referer.
func signInLink(ctx context.Context, s *access.Service, base, name string, role access.Role) (string, error) {
	code, err := s.CreateSignIn(ctx, name, role, operatorName())
	if err != nil {
		return "", err
	}
	return base + "/monitoring#signin=" + code, nil
}
