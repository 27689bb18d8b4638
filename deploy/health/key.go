package health

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyComment is what stands behind the public key.
const keyComment = "slipway"

// Key is Slipway's key pair for logging in to nodes.
type Key struct {
	Signer ssh.Signer
	// Authorized is the line for a node's authorized_keys, without newline.
	Authorized string
}

// LoadOrCreateKey reads the private key at path, or makes an ed25519 one in
// OpenSSH format with mode 0600. Making is atomic: of several processes that
// begin at once all end up with the same key, and a crash leaves no half file.
// A key that others may read or write is refused.
func LoadOrCreateKey(path string) (Key, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("make SSH key %s: %w", path, err)
	}
	return loadKey(path)
}

func loadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("read SSH key: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("SSH key %s has mode %v: it must be a file that only its owner may read (chmod 600)", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("read SSH key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		// The parser's errors name the format, never the content.
		return Key{}, fmt.Errorf("read SSH key %s: %w", path, err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + keyComment
	return Key{Signer: signer, Authorized: line}, nil
}

// createKey writes a new key beside path and links it into place, which fails
// with fs.ErrExist if somebody was quicker.
func createKey(path string) (err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, keyComment)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// CreateTemp makes files with mode 0600.
	temp, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(pem.EncodeToMemory(block))
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
