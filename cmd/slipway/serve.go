package main

import (
	"context"
	"log/slog"
)

type serveCmd struct {
	Data           dataFlags      `embed:""`
	Listen         string         `help:"Address to listen on." default:":8080" env:"SLIPWAY_LISTEN"`
	BaseURL        string         `help:"URL under which machines and people reach this server; default: host name and port." env:"SLIPWAY_BASE_URL"`
	TrustedProxies []string       `help:"Networks of proxies whose X-Forwarded-For is believed." env:"SLIPWAY_TRUSTED_PROXIES"`
	SecureCookies  bool           `help:"Mark cookies Secure although TLS ends elsewhere." env:"SLIPWAY_SECURE_COOKIES"`
	SSHKeyFile     string         `name:"ssh-key-file" help:"Private key to log in to nodes with; made in the data directory if absent. Replicas must share it." env:"SLIPWAY_SSH_KEY_FILE" type:"path"`
	IBM            ibmFlags       `embed:"" prefix:"ibm-"`
	Rack           rackFlags      `embed:"" prefix:"rack-"`
	Script         scriptFlags    `embed:"" prefix:"script-"`
	Install        installFlags   `embed:""`
	Artifacts      artifactFlags  `embed:"" prefix:"artifact-"`
	Retention      retentionFlags `embed:""`
	Netboot        netbootFlags   `embed:""`
}

// Run serves until a signal comes.
func (c *serveCmd) Run(ctx context.Context) error {
	ibm, err := c.IBM.config()
	if err != nil {
		return err
	}
	proxies, err := prefixes(c.TrustedProxies)
	if err != nil {
		return err
	}
	a, err := startApp(ctx, appConfig{Data: c.Data, Listen: c.Listen, BaseURL: c.BaseURL, TrustedProxies: proxies, SecureCookies: c.SecureCookies,
		IBM: ibm, Rack: c.Rack, Script: c.Script, Install: c.Install, Artifacts: c.Artifacts, SSHKeyFile: c.SSHKeyFile, Retention: c.Retention, Netboot: c.Netboot, Logger: slog.Default()})
	if err != nil {
		return err
	}
	slog.Info("slipway serves", "url", a.URL, "app", a.URL+"/monitoring", "version", versionText())
	err = a.Wait(ctx)
	slog.Info("slipway stops")
	if stopErr := a.Stop(); err == nil {
		err = stopErr
	}
	return err
}
