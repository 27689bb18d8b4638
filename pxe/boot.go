package pxe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/pxe/artifact"
)

// StepBootBlocked is the step that tells people that a machine asked for its
// boot script and Slipway had none to give.
const StepBootBlocked = "boot_blocked"

// boot answers GET /boot/d/{locator}: the machine that has this URL is the one
// it was made for. HEAD tells nothing and does nothing.
func (h *Handler) boot(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		script(w, r, "")
		return
	}
	text, err := h.bootScript(r)
	if err != nil {
		h.log.ErrorContext(r.Context(), "boot script could not be made", "remote", remote(r), "error", err)
		text = h.again(r, Screen{Who: "this machine", Lines: []string{"the boot script cannot be made at the moment"}})
	}
	script(w, r, text)
}

// bootScript decides and renders. An error is trouble of ours.
func (h *Handler) bootScript(r *http.Request) (string, error) {
	ctx := r.Context()
	at, err := h.secrets.Locate(ctx, r.PathValue("locator"))
	if deploy.HasCode(err, deploy.CodeUnauthenticated) {
		h.strangers.Stranger(ctx, string(deploy.CodeUnauthenticated), remote(r), "/boot/d/", "boot request with an unknown locator")
		return StopScript(Screen{Who: "machine at " + remote(r), Lines: []string{
			"this boot address is not known here", "it may be mistyped, or its deployment was removed",
		}})
	}
	if err != nil {
		return "", err
	}
	return h.decided(r, at.DeploymentID, at.Active, "")
}

// decided asks what becomes of the boot of a machine that has proven which
// deployment it is of, records it, and renders the answer. serial is what it has
// proven itself by, if it was a serial number.
func (h *Handler) decided(r *http.Request, deploymentID int64, active bool, serial string) (string, error) {
	ctx := r.Context()
	ins, blocked := h.environment(r)
	if blocked != nil && active {
		return h.block(ctx, r, deploymentID, blocked)
	}
	a, err := h.lifecycle.Boot(ctx, lifecycle.BootRequest{DeploymentID: deploymentID, Remote: remote(r), MAC: bootMAC(r), Serial: serial})
	if err != nil {
		return "", err
	}
	screen := Screen{
		Who: fmt.Sprintf("node %s (%s), deployment %d, attempt %d", a.NodeName, globalID(a.NodeID), a.Number, a.Attempt),
	}
	if a.Message != "" {
		screen.Lines = append(screen.Lines, a.Message)
	}
	switch a.Decision {
	case phase.BootInstall, phase.BootAgain, phase.BootAttempt:
		if blocked != nil { // it became active between the two looks
			return h.block(ctx, r, deploymentID, blocked)
		}
		return h.install(r, ins, screen, a)
	case phase.BootWait:
		if place, err := h.machines.Waiting(ctx, a.DeploymentID); err != nil {
			h.log.WarnContext(ctx, "a machine is not told its place in the queue", "deployment", a.DeploymentID, "error", err)
		} else if place != "" {
			screen.Lines = append(screen.Lines, strings.ReplaceAll(place, ";", ",")) // iPXE would end the command there
		}
		return h.again(r, screen), nil
	case phase.BootDisk:
		return DiskScript(screen)
	default: // stop, fail, and whatever may be added: nothing is ever installed by default
		return StopScript(screen)
	}
}

// environment finds what the install script needs of the server's side.
func (h *Handler) environment(r *http.Request) (Install, error) {
	base, err := h.base(r)
	if err != nil {
		return Install{}, err
	}
	ins := Install{Base: base, KernelArgs: h.set.KernelArgs}
	if ins.Kernel, err = h.usable(h.set.Kernel); err != nil {
		return Install{}, err
	}
	if ins.Initrd, err = h.usable(h.set.Initrd); err != nil {
		return Install{}, err
	}
	return ins, nil
}

// usable finds an artifact that can be served.
func (h *Handler) usable(name string) (artifact.Artifact, error) {
	a, err := h.artifacts.Get(name)
	if errors.Is(err, artifact.ErrNotFound) {
		return a, &deploy.Error{
			Code: deploy.CodeUpstreamUnavailable, Message: fmt.Sprintf("artifact %s is not in the catalogue", name),
			Hint: "register it, or set another name", Retryable: true,
		}
	}
	if err != nil {
		return a, err
	}
	if a.Broken != "" {
		return a, &deploy.Error{
			Code: deploy.CodeUpstreamUnavailable, Message: fmt.Sprintf("artifact %s cannot be served: %s", name, a.Broken),
			Hint: "register it again", Retryable: true,
		}
	}
	return a, nil
}

// block tells machine and people why nothing can be installed yet.
func (h *Handler) block(ctx context.Context, r *http.Request, deploymentID int64, why error) (string, error) {
	e, ok := deploy.AsError(why)
	if !ok {
		return "", why
	}
	h.log.ErrorContext(ctx, "a machine cannot be booted", "deployment", deploymentID, "reason", e.Message)
	_, err := h.lifecycle.Report(ctx, lifecycle.Report{
		DeploymentID: deploymentID, Phase: StepBootBlocked, Status: phase.InProgress,
		Message:        "the machine asks for its boot script, but " + e.Message,
		IdempotencyKey: StepBootBlocked + ":" + e.Message, // said once, however often it asks
		Source:         deploy.SourceBootService, Actor: deploy.System, As: phase.ByBoot,
	})
	if err != nil {
		if _, refused := deploy.AsError(err); !refused {
			return "", err
		}
	}
	return h.again(r, Screen{Who: "machine at " + remote(r), Lines: []string{e.Message}}), nil
}

// install mints the report token and renders.
func (h *Handler) install(r *http.Request, ins Install, s Screen, a lifecycle.BootAnswer) (string, error) {
	ctx := r.Context()
	if a.ManagementIP == "" {
		// It booted before the order's answer was stored; the next request finds it.
		s.Lines = append(s.Lines, "its address is not on record yet")
		return h.again(r, s), nil
	}
	token, err := h.secrets.CreateReportToken(ctx, a.NodeID, a.DeploymentID, a.Attempt, a.NodeName)
	if err != nil {
		return "", err
	}
	ins.Screen, ins.Token, ins.IP = s, token, a.ManagementIP
	ins.Lines = append(ins.Lines, fmt.Sprintf("address %s, kernel %s, initrd %s", a.ManagementIP, ins.Kernel.Name, ins.Initrd.Name))
	return ins.Script()
}

// again is the script that asks at the same URL once more; a stop if even that
// is not possible.
func (h *Handler) again(r *http.Request, s Screen) string {
	base, err := h.base(r)
	if err == nil {
		var text string
		if text, err = WaitScript(s, base+r.URL.EscapedPath()+sameHint(r)); err == nil {
			return text
		}
	}
	s.Lines = append(s.Lines, "restart the machine to try again")
	text, err := StopScript(s)
	if err != nil {
		return "#!ipxe\necho Slipway: internal error\n"
	}
	return text
}

// bootMAC is the boot interface as iPXE may add it to the URL.
func bootMAC(r *http.Request) string {
	mac, ok := deploy.NormalMAC(r.URL.Query().Get("mac"))
	if !ok {
		return ""
	}
	return mac
}
