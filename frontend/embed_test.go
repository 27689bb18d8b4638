package frontend

import (
	"errors"
	"io/fs"
	"testing"
)

func TestBuiltTellsWhetherTheAppIsThere(t *testing.T) {
	t.Parallel()
	_, err := fs.Stat(FS(), "index.html")
	if got, want := Built(), err == nil; got != want {
		t.Fatalf("Built() = %v, but index.html in FS: %v", got, err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("stat index.html: %v", err)
	}
}

func TestFSIsRootedAtDist(t *testing.T) {
	t.Parallel()
	if _, err := fs.Stat(FS(), ".gitkeep"); err != nil && !Built() {
		t.Fatalf("the marker file should be at the root of FS: %v", err)
	}
	if _, err := fs.Stat(FS(), "dist"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("FS should not show the dist directory itself, got %v", err)
	}
}
