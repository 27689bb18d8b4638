package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// The actions of a Plan.
const (
	ActionCreate  = "create"    // a new file
	ActionReplace = "replace"   // the node's file gets another content
	ActionSame    = "unchanged" // the node's file has this content already
)

// Plan is what applying a card would write.
type Plan struct {
	Index    int
	Key      string // the address that the card came under; empty if it came under none
	Identity string // the card's: key, address or host name
	NodeID   int64  // 0 for a node that is not there yet
	NodeName string
	Target   string // address that will be polled
	File     string // name in the directory of node files
	Number   int
	Action   string
	Body     []byte // of the file
	Changes  []hostconfig.Change
	// Foreign tells that the file's present content is not what was applied
	// last: somebody else wrote it.
	Foreign bool

	known *known
}

// Preview is the answer to a validation: all errors, or what would be written.
type Preview struct {
	Plans  []Plan
	Errors []deploy.FieldError
	// Obstacle is why nothing could be run now, though the documents are right:
	// another run is active, the script is missing. nil = none.
	Obstacle error

	highest int // number of a node file when this was read
}

// Validate tells everything that is wrong with a request, or what applying it
// would write. It changes nothing.
func (s *Service) Validate(ctx context.Context, body []byte) (Preview, error) {
	if err := s.equipped(); err != nil {
		return Preview{}, err
	}
	out, err := s.prepare(ctx, body)
	if err != nil || len(out.Errors) > 0 {
		return out, err
	}
	out.Obstacle, err = s.obstacle(ctx)
	return out, err
}

// obstacle tells why no run could begin now; nil if one could.
func (s *Service) obstacle(ctx context.Context) (obstacle, err error) {
	active, err := s.activeRun(ctx, s.deps.Store.Read)
	if err != nil {
		return nil, err
	}
	if active != nil { // said first: it tells who runs what, and the marker does not
		return active.busy(), nil
	}
	obstacle = refusal(s.deps.Host.Ready(ctx))
	if deploy.HasCode(obstacle, deploy.CodeRunActive) { // one that has begun since?
		if active, err := s.activeRun(ctx, s.deps.Store.Read); err != nil || active != nil {
			return busyOr(err, active), err
		}
	}
	return obstacle, nil
}

// prepare reads a request beside what is there.
func (s *Service) prepare(ctx context.Context, body []byte) (Preview, error) {
	f, err := s.fleet(ctx)
	if err != nil {
		return Preview{}, err
	}
	cards, bad := hostconfig.Validate(body, f.inventory)
	if len(bad) > 0 {
		return Preview{Errors: bad}, nil
	}
	files, err := s.deps.Host.List(ctx)
	if err != nil {
		return Preview{}, refusal(err)
	}
	plans, bad := f.plan(cards, files)
	return Preview{Plans: plans, Errors: bad, highest: f.highest}, nil
}

// plan says what each card would write.
func (f *fleet) plan(cards []hostconfig.Card, files []deploy.NodeFile) (plans []Plan, bad []deploy.FieldError) {
	there := map[string]deploy.NodeFile{}
	for _, file := range files {
		there[file.Name] = file
	}
	next := max(f.highest+1, deploy.NextNodeFile(files))
	taken := map[string]int{}
	for i, c := range cards {
		p := Plan{Index: i, Identity: c.Identity(), NodeName: strings.ToLower(c.Doc.Hostname), Body: hostconfig.Render(c.Doc), Action: ActionCreate, known: f.find(c)}
		if a, ok := c.Doc.Target(); ok {
			p.Target = a.String()
		}
		if a, err := netip.ParseAddr(strings.TrimSpace(c.Key)); err == nil {
			p.Key = a.Unmap().String()
		}
		if p.known != nil {
			p.NodeID, p.NodeName = p.known.id, p.known.name
		}
		bad = append(bad, p.check(taken)...)
		taken[p.NodeName] = i
		if p.known != nil && p.known.last != nil {
			p.File, p.Number = p.known.last.file, p.known.last.number
		} else {
			p.File, p.Number = deploy.NodeFileName(next), next
			next++
		}
		p.compare(there)
		plans = append(plans, p)
	}
	return plans, bad
}

// check tells what is wrong with the node that a card is for.
func (p *Plan) check(taken map[string]int) (bad []deploy.FieldError) {
	field := fmt.Sprintf("cards.%d.hostname", p.Index)
	switch {
	case p.known == nil:
		for _, e := range deploy.CheckNodeName(field, p.NodeName) {
			e.Key = "hostname_no_node_name"
			bad = append(bad, e)
		}
	case p.known.provider != deploy.ProviderScript:
		bad = append(bad, deploy.FieldError{Field: field, Code: deploy.CodeNameInUse, Key: "node_of_another_provider",
			Message: fmt.Sprintf("belongs to the node %s, which the provider %s deploys", p.known.name, p.known.provider)})
	}
	if before, twice := taken[p.NodeName]; twice {
		bad = append(bad, deploy.FieldError{Field: field, Code: deploy.CodeConflict, Key: "node_twice", Message: fmt.Sprintf("is the node of card %d too", before+1)})
	}
	return bad
}

// compare tells how the file that is there differs from what is to be written.
func (p *Plan) compare(there map[string]deploy.NodeFile) {
	var before []byte
	if p.known != nil && p.known.last != nil {
		before = p.known.last.body
	}
	if file, present := there[p.File]; present {
		p.Action = ActionReplace
		if bytes.Equal(file.Body, p.Body) {
			p.Action = ActionSame
		}
		p.Foreign = before != nil && !bytes.Equal(file.Body, before)
		before = file.Body
	}
	p.Changes = hostconfig.Diff(before, p.Body)
}

// bootIDBefore is the boot id of the card's host before the script: what it
// shows now, or, if it could not be asked, what it was last known to have. If it
// has restarted since by itself, that proves nothing and does no harm.
func (p *Plan) bootIDBefore(seen health.Result) string {
	if seen.BootID == "" && p.known != nil {
		return p.known.bootID
	}
	return seen.BootID
}

// document is the body as the spec of a deployment carries it.
func (p *Plan) document() json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, p.Body) != nil {
		return nil // rendered by us: it is JSON
	}
	return b.Bytes()
}
