//go:build !linux

package workdir

import "os"

// mayWrite is not asked where no script is run.
func mayWrite(*os.File) error { return nil }
