package operation

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
)

// The kinds of console.
const (
	ConsoleSerial = "serial"
	ConsoleVNC    = "vnc"
)

// Console opens the console of a node's machine. The answer's URL is a secret
// that is good for one use; it is not logged. force ends somebody else's
// session.
func (s *Service) Console(ctx context.Context, nodeID int64, kind string, force bool, actor deploy.Actor) (deploy.Console, error) {
	if kind == "" {
		kind = ConsoleSerial
	}
	if kind != ConsoleSerial && kind != ConsoleVNC {
		return deploy.Console{}, deploy.Invalid([]deploy.FieldError{{Field: "type", Code: deploy.CodeInvalid, Message: "must be serial or vnc"}})
	}
	n, err := s.node(ctx, nodeID)
	if err != nil {
		return deploy.Console{}, err
	}
	consoler, err := ask[deploy.Consoler](s, n.Provider, "open consoles")
	if err != nil {
		return deploy.Console{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c, err := consoler.Console(asking, nodeID, kind, force)
	s.audit(ctx, actor, "console", n.Provider, err, "node", n.Name, "node_id", n.ID, "type", kind, "force", force)
	return c, refusal(ctx, n.Provider, err)
}
