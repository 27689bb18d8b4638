package rack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// ErrNoSecret says that the server holds no secret of a name.
var ErrNoSecret = errors.New("the server holds no such secret")

// Secrets holds what orders name: passwords of controllers, and certificates.
type Secrets interface {
	// Secret gives a secret; ErrNoSecret if there is none.
	Secret(name string) (string, error)
	// Certificates gives a file of certificates in PEM; ErrNoSecret likewise.
	Certificates(name string) ([]byte, error)
}

// SecretFiles are secrets in files of a directory, named as they are, or in
// the environment as SLIPWAY_SECRET_<NAME>, the name in upper case with _ for
// everything else than letters and digits. The environment goes first.
type SecretFiles struct {
	Dir string // empty: the environment only
	// Environment is os.LookupEnv, if nil.
	Environment func(key string) (string, bool)
}

var _ Secrets = SecretFiles{}

// EnvironmentName is the variable that a secret may be in.
func EnvironmentName(secret string) string {
	return "SLIPWAY_SECRET_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(secret))
}

// Secret reads a secret. It is read anew each time, so that one can be changed.
// A file that others than its owner may read is refused.
func (s SecretFiles) Secret(name string) (string, error) {
	look := s.Environment
	if look == nil {
		look = os.LookupEnv
	}
	if deploy.IsSecretName(name) {
		if v, ok := look(EnvironmentName(name)); ok && v != "" {
			return v, nil
		}
	}
	path, err := s.path(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", ErrNoSecret, name)
	}
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return "", fmt.Errorf("secret %s has mode %v: it must be a file that only its owner may read (chmod 600)", name, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("secret %s is empty", name)
	}
	return text, nil
}

// Certificates reads a file of certificates.
func (s SecretFiles) Certificates(name string) ([]byte, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoSecret, name)
	}
	return b, err
}

func (s SecretFiles) path(name string) (string, error) {
	if s.Dir == "" || !deploy.IsSecretName(name) {
		return "", fmt.Errorf("%w: %s", ErrNoSecret, name)
	}
	return filepath.Join(s.Dir, name), nil
}
