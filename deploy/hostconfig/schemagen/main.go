package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: schemagen FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	if err := os.WriteFile(path, hostconfig.Schema(), 0o644); err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	return nil
}
