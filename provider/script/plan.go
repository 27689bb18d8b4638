package script

import (
	"context"
	"errors"

	"github.com/slipwayhq/slipway/deploy"
)

// Plan tells whether the node's document is there, and whether files could be
// written and the script be run now. It changes nothing.
func (p *Provider) Plan(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	document := deploy.Check{Key: "document", Label: "Document", Severity: deploy.CheckError, Passed: true, Field: "document", Message: "the node's document is complete"}
	if _, err := described(o); err != nil {
		document = denied(document, err)
	}
	host := deploy.Check{Key: "script_host", Label: "Script host", Severity: deploy.CheckError, Passed: true,
		Message: "files can be written to " + p.host.dir.Path() + ", and the script is there"}
	if err := p.host.Ready(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		host = denied(host, err)
		var typed *deploy.ProviderError
		if errors.As(err, &typed) && typed.Code == deploy.CodeRunActive {
			host.Severity = deploy.CheckWarning // it passes
		}
	}
	return []deploy.Check{document, host}, nil
}

func denied(c deploy.Check, err error) deploy.Check {
	c.Passed, c.Message = false, err.Error()
	var typed *deploy.ProviderError
	if errors.As(err, &typed) {
		c.Message, c.Hint = typed.Message, typed.Hint
	}
	return c
}
