package present_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// verdict is a test that notes how it was ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (*verdict) Helper() {}

func (v *verdict) Skip(args ...any) {
	v.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func look(t *testing.T, name string) (v *verdict, path string) {
	v = &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		path = present.Command(v, name, "some-package")
	}()
	<-done
	return v, path
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv(present.Complete, "")
	const name = "slipway-no-such-tool"
	v, _ := look(t, name)
	require.Equal(t, name+" is not installed: apt-get install some-package", v.skipped)
	require.Empty(t, v.failed)

	t.Setenv(present.Complete, "1")
	v, _ = look(t, name)
	require.Empty(t, v.skipped)
	require.Contains(t, v.failed, "apt-get install some-package")

	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
	v, path := look(t, name)
	require.Empty(t, v.failed+v.skipped)
	require.Equal(t, filepath.Join(dir, name), path)
}
