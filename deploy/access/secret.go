package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// The kinds of secret as the table names them.
const (
	kindAPI     = "api"
	kindSession = "session"
	kindSignIn  = "signin"
	kindReport  = "report"
	kindLocator = "locator"
)

// The visible beginnings of secrets: they tell a person, and a scanner that
// looks for leaked secrets, what was found. A locator has none: it is a path
// segment of a URL that firmware with short buffers must keep.
const (
	PrefixAPI     = "slw_"
	PrefixReport  = "slr_"
	PrefixSession = "sls_"
	PrefixSignIn  = "slc_"
)

// locatorLength is that of 256 bits in base64url without padding.
const locatorLength = 43

// secretMax is the longest string that can be a secret; longer ones are
// refused unread.
const secretMax = 64

var prefixes = map[string]string{
	kindAPI: PrefixAPI, kindReport: PrefixReport, kindSession: PrefixSession, kindSignIn: PrefixSignIn, kindLocator: "",
}

// newSecret makes 256 random bits in base64url with the kind's prefix.
func newSecret(kind string) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: the runtime ends the program instead
	return prefixes[kind] + base64.RawURLEncoding.EncodeToString(b)
}

// digest is what the table keeps of a secret.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// same compares two digests in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// looksLike reports whether secret has the outer form of one of the kinds, so
// that garbage never reaches the database.
func looksLike(secret string, kinds ...string) bool {
	if len(secret) > secretMax {
		return false
	}
	for _, k := range kinds {
		body, ok := strings.CutPrefix(secret, prefixes[k])
		if ok && len(body) == locatorLength && isBase64URL(body) {
			return true
		}
	}
	return false
}

func isBase64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Redact replaces everything in text that has the form of one of Slipway's
// prefixed secrets. It is for messages and logs that machines send.
func Redact(text string) string {
	if !strings.Contains(text, "sl") {
		return text
	}
	var b strings.Builder
	for {
		i, prefix := firstPrefix(text)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		end := i + len(prefix)
		n := 0
		for end+n < len(text) && isBase64URL(text[end+n:end+n+1]) {
			n++
		}
		if n < locatorLength {
			b.WriteString(text[:end+n])
		} else {
			b.WriteString(text[:end])
			b.WriteString("[removed]")
		}
		text = text[end+n:]
	}
}

// firstPrefix finds the leftmost prefix of a secret in text, -1 if none.
func firstPrefix(text string) (int, string) {
	at, found := -1, ""
	for _, p := range []string{PrefixAPI, PrefixReport, PrefixSession, PrefixSignIn} {
		if i := strings.Index(text, p); i >= 0 && (at < 0 || i < at) {
			at, found = i, p
		}
	}
	return at, found
}
