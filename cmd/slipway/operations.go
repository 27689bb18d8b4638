package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/server"
)

// operations makes the service for what operators ask of providers.
func (a *app) operations(cfg appConfig, providers map[string]deploy.Provider, statuses *query.Statuses, metrics *server.Metrics) *operation.Service {
	done := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_operations_total", Help: "What operators did at providers: consoles, adoptions, removals of orphans."}, []string{"verb", "provider", "outcome"})
	metrics.Registry.MustRegister(done)
	return operation.New(operation.Deps{
		Providers: providers, Store: a.Store, Writer: a.Writer, Typical: statuses, BaseURL: a.URL, Slots: cfg.Install.Slots, Now: cfg.Now, Logger: cfg.Logger,
		Artifacts: func(_ context.Context, s deploy.Spec) ([]operation.Artifact, error) {
			return neededArtifacts(a.artifacts, cfg.Install, s)
		},
		Catalogue: func(context.Context) ([]operation.Stored, error) { return storedArtifacts(a.artifacts) },
		Observe:   func(verb, provider, outcome string) { done.WithLabelValues(verb, provider, outcome).Inc() },
	})
}

// storedArtifacts is the whole catalogue.
func storedArtifacts(catalogue *artifact.Catalogue) ([]operation.Stored, error) {
	all, err := catalogue.List()
	if err != nil {
		return nil, fmt.Errorf("list artifacts: %w", err)
	}
	out := make([]operation.Stored, len(all))
	for i, a := range all {
		out[i] = operation.Stored{
			Name: a.Name, Kind: string(a.Kind), Version: a.Version, Size: a.Size, SHA256: a.SHA256, Problem: a.Broken, InPlace: a.InPlace(), Registered: a.Registered,
		}
	}
	return out, nil
}

// neededArtifacts lists what an installation downloads: the install
// environment, the installer, and the images that every node gets.
func neededArtifacts(catalogue *artifact.Catalogue, install installFlags, s deploy.Spec) ([]operation.Artifact, error) {
	installer := s.Installer
	if installer == "" {
		installer = install.Installer
	}
	names := append([]string{install.Kernel, install.Initrd, installer}, install.Images...)
	if len(install.Images) == 0 {
		all, err := catalogue.List()
		if err != nil {
			return nil, fmt.Errorf("list artifacts: %w", err)
		}
		for _, one := range all {
			if slices.Contains([]artifact.Kind{artifact.KindHypervisor, artifact.KindCVM, artifact.KindImage}, one.Kind) {
				names = append(names, one.Name)
			}
		}
	}
	out := make([]operation.Artifact, 0, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		one := operation.Artifact{Name: name}
		found, err := catalogue.Get(name)
		switch {
		case name == "":
			one.Name, one.Problem = "installer", "is not set: neither the order nor the server names one"
		case errors.Is(err, artifact.ErrNotFound):
			one.Problem = "is not registered"
		case err != nil:
			return nil, fmt.Errorf("artifact %s: %w", name, err)
		case found.Broken != "":
			one.Problem = "cannot be served: " + found.Broken
		default:
			one.SHA256 = found.SHA256
		}
		out = append(out, one)
	}
	return out, nil
}
