package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// validateHealth logs in to the installed machine. What may still come (it
// restarts, its SSH server starts) is awaited until the phase's deadline; a
// wrong host key is the end.
func (s *step) validateHealth(ctx context.Context) (time.Duration, error) {
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "waiting for the installed system to answer over SSH")); err != nil {
			return 0, err
		}
	}
	if s.hostKey == "" {
		return 0, s.fail(ctx, &deploy.ProviderError{Code: deploy.CodeRequired, Message: "the machine never reported its host key, so it cannot be proven to be the right one",
			Hint: "post-install.sh reports it; read the install log."})
	}
	port := s.sshPort
	if port == 0 {
		port = s.engine.opts.SSHPort
	}
	result := s.engine.opts.Prober.Check(ctx, health.Target{Host: s.managementIP, Port: port, User: s.engine.opts.AccessUser, HostKey: s.hostKey, BootIDBefore: s.bootID})
	switch {
	case result.OK():
		message := fmt.Sprintf("logged in to %s; boot id %s", s.managementIP, result.BootID)
		if s.clusterID.Valid {
			stand, again, err := s.clusterHealth(ctx)
			if err != nil || stand.Move != deploy.ClusterDone {
				return again, err
			}
			message += "; " + stand.Message
		}
		r := s.report(phase.Success, message)
		// The node goes on showing what its provider last said: let that be of now.
		if seen, err := s.provider.Observe(ctx, s.nodeID); err == nil {
			r.ServerStatus = seen.ServerStatus
		}
		return 0, s.tell(ctx, r)
	case result.Permanent():
		r := s.report(phase.FailedRun, result.Message)
		r.Code, r.Hint = string(result.Class), result.Hint
		return 0, s.tell(ctx, r)
	case result.Class == health.ClassCanceled:
		return 0, ctx.Err()
	}
	if err := s.await(ctx, "ssh", fmt.Sprintf("%s: %s", result.Class, result.Message)); err != nil {
		return 0, err
	}
	return s.engine.opts.ProbeEvery, nil
}
