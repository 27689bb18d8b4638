package ibmvpc

import (
	"context"
	"net/url"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Console opens a way to the console of the node's server: kind is "serial" or
// "vnc" (RFB over the websocket). The URL carries a token that is good for one
// use and a few minutes; it is in no error and no message. force ends somebody
// else's session, which IBM does for serial consoles only.
func (p *Provider) Console(ctx context.Context, nodeID int64, kind string, force bool) (deploy.Console, error) {
	c, err := p.console(ctx, nodeID, kind, force)
	return c, asProviderError(err)
}

func (p *Provider) console(ctx context.Context, nodeID int64, kind string, force bool) (deploy.Console, error) {
	if kind != vpcv1.CreateBareMetalServerConsoleAccessTokenOptionsConsoleTypeSerialConst && kind != vpcv1.CreateBareMetalServerConsoleAccessTokenOptionsConsoleTypeVncConst {
		return deploy.Console{}, permanent(deploy.CodeInvalid, "Ask for serial or vnc.", "there is no console of type %q", kind)
	}
	held, err := p.journal.Held(ctx, nodeID)
	if err != nil {
		return deploy.Console{}, err
	}
	var row deploy.Resource
	for _, r := range held {
		if r.Provider == deploy.ProviderIBMVPC && r.Kind == kindServer && r.CloudID != "" {
			row = r // the newest is the last
		}
	}
	if row.ID == 0 {
		return deploy.Console{}, permanent(deploy.CodeNotFound, "A console comes with a server: deploy the node, or wait until its server is accepted.", "this node has no server")
	}
	// Not repeated: each call makes another token and ends the one before.
	token, err := create(ctx, p, "opening the console", func(ctx context.Context) (*vpcv1.BareMetalServerConsoleAccessToken, *core.DetailedResponse, error) {
		return p.vpcCreate.CreateBareMetalServerConsoleAccessTokenWithContext(ctx, p.vpc.NewCreateBareMetalServerConsoleAccessTokenOptions(row.CloudID, kind).SetForce(force))
	})
	if f, ok := asFailure(err); ok && f.status < 300 && f.status >= 200 {
		f.message = "the answer could not be read" // it may hold the token
	}
	if err != nil {
		return deploy.Console{}, err
	}
	if u, err := url.Parse(value(token.Href)); err != nil || u.Scheme != "wss" && u.Scheme != "ws" || u.Host == "" {
		return deploy.Console{}, permanent(deploy.CodeUpstreamUnavailable, "Open the console in IBM Cloud instead.", "IBM Cloud gave an address of the console that cannot be used")
	}
	return deploy.Console{URL: value(token.Href), Type: value(token.ConsoleType), ExpiresAt: time.Time(value(token.ExpiresAt)).UTC(), Force: value(token.Force)}, nil
}
