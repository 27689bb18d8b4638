package operation

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
)

// Audit lists how the journal and a provider's cloud differ: what has our name
// there and no row here, what a row says is there and is not, and what is there
// but is not what its row describes. It changes nothing.
func (s *Service) Audit(ctx context.Context, provider string) ([]deploy.Drift, error) {
	auditor, err := ask[deploy.Auditor](s, provider, "be compared with the journal")
	if err != nil {
		return nil, err
	}
	list, err := together(ctx, &s.audits, provider, auditLimit, func(ctx context.Context) ([]deploy.Drift, error) {
		// The journal is read first: what is made meanwhile has its row before
		// the cloud knows of it, so the provider looks again at what it calls an
		// orphan before it is removed.
		rows, err := s.journal(ctx, provider)
		if err != nil {
			return nil, err
		}
		found, err := auditor.Audit(ctx, rows)
		if err != nil {
			return nil, err
		}
		return s.stillOrphans(ctx, provider, rows, found)
	})
	if err != nil {
		return nil, refusal(ctx, provider, err)
	}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b deploy.Drift) int {
		return cmp.Or(cmp.Compare(a.Problem, b.Problem), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.CloudID, b.CloudID))
	})
	if out == nil {
		out = []deploy.Drift{}
	}
	return out, nil
}

// stillOrphans takes out the orphans that got their row while the cloud was
// being read: somebody was ordering.
func (s *Service) stillOrphans(ctx context.Context, provider string, before []deploy.Resource, found []deploy.Drift) ([]deploy.Drift, error) {
	if !slices.ContainsFunc(found, func(d deploy.Drift) bool { return d.Problem == deploy.DriftOrphan }) {
		return found, nil
	}
	after, err := s.journal(ctx, provider)
	if err != nil {
		return nil, err
	}
	old := map[int64]bool{}
	for _, r := range before {
		old[r.ID] = true
	}
	fresh := map[[2]string]bool{}
	for _, r := range after {
		if !old[r.ID] {
			fresh[[2]string{r.Kind, r.Name}] = true
		}
	}
	return slices.DeleteFunc(found, func(d deploy.Drift) bool {
		return d.Problem == deploy.DriftOrphan && fresh[[2]string{d.Kind, d.Name}]
	}), nil
}

// Orphan names one thing in a cloud that no row holds. All that is set must
// agree; Kind and one of the others are required.
type Orphan struct {
	Kind    string
	CloudID string
	Name    string
}

func (o Orphan) check() error {
	var bad []deploy.FieldError
	if o.Kind == "" {
		bad = append(bad, deploy.FieldError{Field: "kind", Code: deploy.CodeRequired, Message: "is required"})
	}
	if o.CloudID == "" && o.Name == "" {
		bad = append(bad, deploy.FieldError{Field: "cloud_id", Code: deploy.CodeRequired, Message: "is required, or a name"})
	}
	return deploy.Invalid(bad)
}

func (o Orphan) is(d deploy.Drift) bool {
	return d.Problem == deploy.DriftOrphan && d.Kind == o.Kind && (o.CloudID == "" || d.CloudID == o.CloudID) && (o.Name == "" || d.Name == o.Name)
}

// Removal is how far the removal of an orphan is.
type Removal struct {
	Drift   deploy.Drift
	Done    bool   // it is proven gone
	Message string // what is being waited for
}

// RemoveOrphan deletes one thing at a provider that the comparison calls an
// orphan now; anything else is not_found, and a name that several things have
// is a conflict. A removal that is under way is not done yet: ask again, or
// compare again.
func (s *Service) RemoveOrphan(ctx context.Context, provider string, o Orphan, actor deploy.Actor) (Removal, error) {
	if err := o.check(); err != nil {
		return Removal{}, err
	}
	auditor, err := ask[deploy.Auditor](s, provider, "be compared with the journal")
	if err != nil {
		return Removal{}, err
	}
	list, err := s.Audit(ctx, provider)
	if err != nil {
		return Removal{}, err
	}
	list = slices.DeleteFunc(list, func(d deploy.Drift) bool { return !o.is(d) })
	switch {
	case len(list) == 0:
		return Removal{}, &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such orphan: it is gone, or a node holds it", Hint: "compare journal and cloud again"}
	case len(list) > 1:
		return Removal{}, &deploy.Error{Code: deploy.CodeConflict, Message: "several things have this name", Hint: "name the one by its cloud_id"}
	}
	removing, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	err = auditor.RemoveOrphan(removing, list[0])
	attrs := []any{"kind", list[0].Kind, "cloud_id", list[0].CloudID, "name", list[0].Name}
	var p *deploy.ProviderError
	if errors.As(err, &p) && p.Temporary {
		s.audit(ctx, actor, "remove_orphan", provider, nil, append(attrs, "under_way", p.Message)...)
		return Removal{Drift: list[0], Message: p.Message}, nil
	}
	s.audit(ctx, actor, "remove_orphan", provider, err, attrs...)
	if err != nil {
		return Removal{}, refusal(ctx, provider, err)
	}
	return Removal{Drift: list[0], Done: true, Message: "it is gone"}, nil
}
