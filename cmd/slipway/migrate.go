package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipwayhq/slipway/deploy/store"
)

// openStore opens the database without changing its schema.
func openStore(ctx context.Context, d dataFlags) (*store.Store, error) {
	if path, ok := strings.CutPrefix(d.database(), "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	return store.Open(ctx, d.database(), store.Options{})
}

type migrateCmd struct {
	Data  dataFlags `embed:""`
	Check bool      `help:"Only tell what is pending; exit code 1 if something is."`
}

// Run applies or lists migrations.
func (c *migrateCmd) Run(ctx context.Context) error {
	st, err := openStore(ctx, c.Data)
	if err != nil {
		return err
	}
	defer st.Close()
	pending, err := st.Pending(ctx)
	if err != nil {
		return err
	}
	for _, m := range pending {
		fmt.Printf("pending  %s  %s\n", m.Version, m.Name)
	}
	if c.Check {
		if len(pending) > 0 {
			return exit{code: exitFailed}
		}
		fmt.Println("nothing is pending")
		return nil
	}
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	fmt.Printf("%s: %d applied now; the schema is this version's\n", st.URL(), len(pending))
	return nil
}
