package vpcsim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxKeys is the quota of SSH keys per region (IBM's quotas page).
const maxKeys = 200

type sshKey struct {
	base
	name        string
	publicKey   string
	fingerprint string
	kind        string // rsa or ed25519
	length      int
}

// demoPublicKey is a public key that nobody has the private part of in a file: it only fills the catalogue.
func demoPublicKey() string {
	seed := sha256.Sum256([]byte("vpcsim demonstration key"))
	public, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		panic(err) // an ed25519 key is always accepted
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

// addKey checks and stores a key; kind, if given, must be the key's type.
func (s *Simulator) addKey(id, name, publicKey, kind string) (*sshKey, error) {
	k := &sshKey{name: name, publicKey: strings.TrimSpace(publicKey)}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(publicKey))
	if err != nil {
		return nil, badField("public_key", "", "The public key cannot be read.")
	}
	k.fingerprint = ssh.FingerprintSHA256(parsed)
	switch key := cryptoKey(parsed).(type) {
	case ed25519.PublicKey:
		k.kind, k.length = "ed25519", 256
	case *rsa.PublicKey:
		k.kind, k.length = "rsa", key.N.BitLen()
		if k.length != 2048 && k.length != 4096 {
			return nil, badField("public_key", "", "An RSA key must have 2048 or 4096 bits, not %d.", k.length)
		}
	default:
		return nil, badField("public_key", "", "The key type %s is not supported.", parsed.Type())
	}
	if kind != "" && kind != k.kind {
		return nil, badField("type", kind, "The public key is of type %s.", k.kind)
	}
	for _, other := range s.keys {
		if other.fingerprint == k.fingerprint {
			return nil, fieldError(codeUniqueFailed, "public_key", "", "A key with fingerprint %s exists.", k.fingerprint)
		}
	}
	k.base = s.newBase(id)
	s.keys[id] = k
	return k, nil
}

func cryptoKey(key ssh.PublicKey) any {
	if with, ok := key.(ssh.CryptoPublicKey); ok {
		return with.CryptoPublicKey()
	}
	return nil
}

type keyAnswer struct {
	CreatedAt     timestamp              `json:"created_at"`
	CRN           string                 `json:"crn"`
	Fingerprint   string                 `json:"fingerprint"`
	Href          string                 `json:"href"`
	ID            string                 `json:"id"`
	Length        int                    `json:"length"`
	Name          string                 `json:"name"`
	PublicKey     string                 `json:"public_key"`
	ResourceGroup resourceGroupReference `json:"resource_group"`
	Type          string                 `json:"type"`
}

type keyReference struct {
	CRN         string `json:"crn"`
	Fingerprint string `json:"fingerprint"`
	Href        string `json:"href"`
	ID          string `json:"id"`
	Name        string `json:"name"`
}

func (c *call) keyReference(k *sshKey) keyReference {
	return keyReference{
		CRN: crn(c.s.opts.Region, "key", k.id), Fingerprint: k.fingerprint, Href: c.href("/keys/" + k.id), ID: k.id, Name: k.name,
	}
}

func (c *call) keyAnswer(k *sshKey) keyAnswer {
	ref := c.keyReference(k)
	return keyAnswer{
		CreatedAt: k.created, CRN: ref.CRN, Fingerprint: k.fingerprint, Href: ref.Href, ID: k.id, Length: k.length,
		Name: k.name, PublicKey: k.publicKey, ResourceGroup: c.resourceGroup(), Type: k.kind,
	}
}

func (c *call) listKeys() (reply, error) {
	items := list(c.s.keys, func(*sshKey) bool { return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) })
	items, meta, err := page(c, items, bySeq[*sshKey]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Keys []keyAnswer `json:"keys"`
	}{meta, render(items, c.keyAnswer)}), nil
}

func (c *call) getKey() (reply, error) {
	k := c.s.keys[c.path("id")]
	if k == nil {
		return reply{}, notFound("key", c.path("id"))
	}
	return ok(c.keyAnswer(k)), nil
}

type keyPrototype struct {
	PublicKey     string    `json:"public_key"`
	Name          string    `json:"name"`
	ResourceGroup *identity `json:"resource_group"`
	Type          string    `json:"type"`
}

func (c *call) createKey() (reply, error) {
	var p keyPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.PublicKey == "" {
		return reply{}, requiredField("public_key")
	}
	if err := c.checkResourceGroup(p.ResourceGroup); err != nil {
		return reply{}, err
	}
	if len(c.s.keys) >= maxKeys {
		return reply{}, overQuota("The region has as many keys as it may have.")
	}
	name, err := chooseName(p.Name, true, func(name string) bool {
		return len(list(c.s.keys, func(k *sshKey) bool { return k.name == name })) > 0
	})
	if err != nil {
		return reply{}, err
	}
	k, err := c.s.addKey(c.s.regionalID(), name, p.PublicKey, p.Type)
	if err != nil {
		return reply{}, err
	}
	return created(c.keyAnswer(k)), nil
}

func (c *call) deleteKey() (reply, error) {
	id := c.path("id")
	if c.s.keys[id] == nil {
		return reply{}, notFound("key", id)
	}
	delete(c.s.keys, id)
	for _, sv := range c.s.servers {
		sv.keys = slices.DeleteFunc(sv.keys, func(k string) bool { return k == id })
	}
	return noContent(), nil
}

// keyByIdentity finds a key by id, CRN, URL or fingerprint.
func (c *call) keyByIdentity(i identity) *sshKey {
	for _, k := range c.s.keys {
		if k.id == i.key() || i.Fingerprint != "" && k.fingerprint == i.Fingerprint {
			return k
		}
	}
	return nil
}
